<?php // A receiver. It notes what it was sent, once it has all of it. To /early it answers before it reads.
if ($_SERVER['REQUEST_URI'] === '/early') {
    http_response_code(401);
    exit('no');
}
$body = file_get_contents('php://input');
$line = ($_SERVER['HTTP_X_ALOT_DELIVERY'] ?? '-') . ' ' . strlen($body) . "\n";
file_put_contents('{{.Log}}', $line, FILE_APPEND | LOCK_EX);
http_response_code(204);
