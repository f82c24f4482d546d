#!/bin/sh
# Two OpenADR 3 clients that others wrote drive the platform stand-in, each in an environment of its own that is thrown
# away. Needs a package index, Python 3.11, and PYTHON312 (3.12 or newer, for openadr3-client).
# To ask for the address of the tokens the second client trusts only what REQUESTS_CA_BUNDLE says.
#   PYTHON312=python3.12 tests/interop/openadr_clients.sh .venv/bin/python
set -eu
here=$(cd "$(dirname "$0")" && pwd)
serving=${1:-python3}
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}" "$serving" "$here/serve_platform.py" "$work/platform" >"$work/url" &
server=$!
make_env() {
    "$1" -m venv "$work/$2" && "$work/$2/bin/pip" install --quiet --disable-pip-version-check "$2"
    "$work/$2/bin/pip" --disable-pip-version-check list --format=freeze | grep "^$2=="
}
make_env "${PYTHON311:-python3.11}" openadr3
make_env "${PYTHON312:-python3.12}" openadr3-client
url=$(cat "$work/url")
SSL_CERT_FILE="$work/platform/ca.pem" "$work/openadr3/bin/python" "$here/drive_openadr3.py" "$url"
REQUESTS_CA_BUNDLE="$work/platform/ca.pem" "$work/openadr3-client/bin/python" "$here/drive_openadr3_client.py" "$url" "$work/platform/ca.pem"
