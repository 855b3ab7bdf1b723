bind "tcp://127.0.0.1:{{.Port}}"
threads 32, 32
persistent_timeout 3
environment "production"
rackup "{{.Dir}}/config.ru"
