module github.com/alot/alotwebhook/cmd/alotwebhook

go 1.25

require (
	github.com/alot/alotwebhook v0.0.0
	github.com/alot/alotwebhook/webhookclient v0.0.0
	github.com/spf13/cobra v1.10.2
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/alot/alotwebhook => ../..

replace github.com/alot/alotwebhook/webhookclient => ../../webhookclient
