"""Signs as Twilio does, by the vendor's own library: a JSON object in, the signature out."""

import json
import sys

from twilio.request_validator import RequestValidator

wanted = json.load(sys.stdin)
validator = RequestValidator(wanted["token"])
print(validator.compute_signature(wanted["url"], wanted["params"], algorithm=wanted["algorithm"]))
