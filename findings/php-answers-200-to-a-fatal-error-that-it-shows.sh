#!/usr/bin/env bash
# PHP 8.2.36 (Debian's php8.2-cgi 8.2.36-1~deb12u1); php8.2-fpm of the same version does the same
#
# A script that ends with an uncaught exception, a missing function or no memory left is answered with
# the status 500, one would guess. That is so with display_errors off. With display_errors on,
# as developers have it, and as PHP itself has it where no php.ini is read, the text of the error is the
# answer, and its status is 200. What is more, a mere warning is then text too: without output
# buffering its first letters send the headers, and a later http_response_code(500) does nothing.
# To whoever sent the request both look like success.
#
# For receivers: with display_errors on, an event whose handling failed counts as delivered and does not
# come again. Turn it off (and log_errors on); else set the status 500 first, and 204 at the end.
#
# Seen 2026-11-30: the status of the answer
#	display_errors=0: exception 500, missing function 500, warning and then 500: 500
#	display_errors=1: exception 200, missing function 200, warning and then 500: 200
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
for package in php8.2-cgi php8.2-common; do
	apt-get download "$package=8.2.36-1~deb12u1" >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
done
for file in *.deb; do
	dpkg -x "$file" .
done
cat >exception.php <<'PHP'
<?php
throw new Exception('the row was not stored');
PHP
cat >missing.php <<'PHP'
<?php
store_the_row();
PHP
cat >warning.php <<'PHP'
<?php
$row = [];
$id = $row['id'];
http_response_code(500);
PHP
status() { # status FILE runs a script as a web server does
	REDIRECT_STATUS=200 GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=POST CONTENT_LENGTH=0 SCRIPT_FILENAME=$work/$1 \
		timeout 30 "$work/usr/bin/php-cgi8.2" -n -d display_errors="$shown" -d output_buffering=0 </dev/null >answer 2>/dev/null || true
	grep -q '^Content-type:' answer || { cat answer >&2; return 1; }
	local code
	code=$(sed -n 's/^Status: \([0-9]*\).*/\1/p' answer)
	echo "${code:-200}" # CGI: an answer without a status is 200
}
got=$(for shown in 0 1; do
	echo "display_errors=$shown: exception $(status exception.php), missing function $(status missing.php), warning and then 500: $(status warning.php)"
done)
want='display_errors=0: exception 500, missing function 500, warning and then 500: 500
display_errors=1: exception 200, missing function 200, warning and then 500: 200'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
