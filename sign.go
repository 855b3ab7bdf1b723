package alotwebhook

import "github.com/alot/alotwebhook/internal/mac"

// SignatureHeader is the request header that carries the signature.
const SignatureHeader = "X-Alot-Signature"

// Sign returns the value of [SignatureHeader] for a body: "sha256=" and the
// HMAC-SHA256 of exactly these bytes in lower-case hex. The key is the secret's
// UTF-8 bytes.
//
// Sign accepts an empty secret, but [Verify] does not, and no endpoint can have one.
func Sign(body []byte, secret Secret) string { return mac.Sign(body, string(secret)) }
