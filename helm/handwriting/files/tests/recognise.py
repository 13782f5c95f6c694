"""Asks the gateway at URL for the digit of a picture, with HCR_KEY; run by helm test in the gateway's image.

Where keys are asked for (KEYS is the Secret's name) and the Secret has none for this test, the gateway must refuse it.
"""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import hcr

image = Path(hcr.__file__).with_name("examples").joinpath("seven.png").read_bytes()
key, keys = os.environ.get("HCR_KEY", ""), os.environ.get("KEYS", "")
headers = {"Content-Type": "image/png", "X-API-Key": key}
try:
    with urllib.request.urlopen(
        urllib.request.Request(f"{os.environ['URL']}/v1/predict", image, headers), timeout=30
    ) as response:
        answer = json.load(response)
except urllib.error.HTTPError as error:
    print(error.read().decode())
    if key or not keys or error.code != 401:
        raise
    print(
        f"Refused, as it should be without a key. To have a digit recognised, give the Secret {keys} a member `key` with one."
    )
else:
    print(answer)
    assert answer["prediction"] == "7"
    assert key or not keys, "it was let in without a key"
