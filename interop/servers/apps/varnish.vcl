vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "{{.Backend}}"; }
sub vcl_recv { return (pass); }
