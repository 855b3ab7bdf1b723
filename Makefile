.PHONY: check long test
check: ; bash .ci/run
long: ; bash .ci/run long
test: ; go test work
