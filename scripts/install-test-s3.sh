#!/usr/bin/env bash
# Brings an S3-compatible server for the tests (moto, from PyPI) into .cache/test-tools, or the folder given as the first
# argument, and a starter for it in its bin/. Does nothing when it is there already; exits 1 and says why when it cannot be had.
# Not needed where S3_TEST_URL is set.
set -euo pipefail

MOTO=5.2.5

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${1:-$root/.cache/test-tools}
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)
home=$tools/moto-$MOTO

works() { [[ -d $1/moto ]] && PYTHONPATH=$1 python3 -c "import moto.server, moto.s3" >/dev/null 2>&1; }

if ! works "$home"; then
  if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "test S3: there is no python3 with pip; its suite will be skipped by name. Set S3_TEST_URL." >&2
    exit 1
  fi
  # Built beside its place and renamed, so that an interrupted run leaves nothing that looks complete.
  rm -rf "$home.new"
  if ! python3 -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: --target "$home.new" \
    "moto[s3]==$MOTO" flask flask-cors >"$tools/moto.log" 2>&1 || ! works "$home.new"; then
    echo "test S3: moto $MOTO could not be installed ($(tail -n 1 "$tools/moto.log")); its suite will be skipped by name. Set S3_TEST_URL." >&2
    exit 1
  fi
  rm -rf "$home"
  mv "$home.new" "$home"
fi
cat >"$tools/bin/moto-s3" <<RUN
#!/usr/bin/env bash
export PYTHONPATH="\$(cd "\$(dirname "\${BASH_SOURCE[0]}")/../moto-$MOTO" && pwd)" PYTHONDONTWRITEBYTECODE=1
exec python3 -m moto.server -H 127.0.0.1 -p "\$1"
RUN
chmod +x "$tools/bin/moto-s3"
echo "test S3: moto $MOTO in $tools/bin"
