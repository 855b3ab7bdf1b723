"""Reads testdata/signatures.json from standard input, and calls a receiver's verify for
each case. Prints the results as a JSON array of booleans."""

import base64
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(sys.argv[1]))
from receiver import verify  # noqa: E402

answers = []
for case in json.load(sys.stdin)["cases"]:
    body = base64.b64decode(case["bodyBase64"]) if "bodyBase64" in case else case["body"].encode()
    answers.append(verify(body, case["signature"], case["secret"]))
print(json.dumps(answers))
