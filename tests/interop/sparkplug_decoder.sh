#!/bin/sh
# A Sparkplug library that others wrote reads our golden session, and we read the rebirth that it asks for. It gets an
# environment of its own that is thrown away, because it wants an older MQTT client. Needs a package index.
#   tests/interop/sparkplug_decoder.sh .venv/bin/python
set -eu
here=$(cd "$(dirname "$0")" && pwd)
ours=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON311:-python3.11}" -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check pysparkplug
"$work/env/bin/python" "$here/read_sparkplug.py" "$here/../golden/sparkplug_exchange.json" >"$work/rebirth"
PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}" "$ours" - "$(cat "$work/rebirth")" <<'EOF'
import sys

from controller.balancing.sparkplug.commands import judge
from controller.balancing.sparkplug.topics import Topics

topics = Topics("fleet", "demo")
assert judge(topics, topics.of("NCMD"), bytes.fromhex(sys.argv[1]), False, 2) == (True, [])
print("and its rebirth request is understood")
EOF
