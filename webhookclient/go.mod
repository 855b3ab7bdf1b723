module github.com/alot/alotwebhook/webhookclient

go 1.25

replace github.com/alot/alotwebhook => ..

require (
	github.com/alot/alotwebhook v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
