"""Hold code of your own against the test vectors: python run.py FOLDER. Uses nothing but Python."""
import hashlib, json, pathlib, sys, urllib.parse

def not_json(text):  # Python's own parser takes NaN
    raise ValueError(text)

def parsed(text):
    return json.loads(text, parse_constant=not_json)

def signed(token, request_time):
    return hashlib.sha256((token + request_time).encode()).hexdigest()

cases = {name: parsed(pathlib.Path(sys.argv[1], f"{name}.json").read_text("utf-8")) for name in ("sign", "requests", "answers")}
for case in cases["sign"]:
    assert signed(case["token"], case["request_time"]) == case["sign"], case["name"]
for case in cases["requests"]:
    head, _, body = case["request"].partition("\r\n\r\n")
    query = dict(urllib.parse.parse_qsl(head.split(" ")[1].partition("?")[2]))
    genuine = not case["token"] or signed(case["token"], query.get("RequestTime", "")) == query.get("Sign")
    assert genuine == case["genuine"] and parsed(body)["CallbackCommand"] == query["CallbackCommand"], case["name"]
for case in cases["answers"]:
    try:
        packet = parsed(bytes.fromhex(case["body_hex"]).decode())
    except ValueError:
        packet = None
    delivered = case["status"] == 200 and case["elapsed_ms"] <= 2000 and packet is not None
    fields = packet if isinstance(packet, dict) else {}
    typed = type(fields.get("ErrorCode")) is int and type(fields.get("ErrorInfo")) is str
    assert [delivered, delivered and typed and fields.get("ActionStatus") == "OK"] == case["verdict"], case["name"]
