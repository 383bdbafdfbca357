#!/usr/bin/env bash
# Brings a MongoDB-compatible server for the tests into .cache/test-tools (or the folder given as the first argument) and
# links it in its bin/. Does nothing when one is there already; exits 1 and says why when none can be had.
# Not needed where MONGODB_TEST_URL is set or a real mongod is on PATH.
set -euo pipefail

SECANTUS=0.6.0b17
JAVA_SERVER=1.47.0

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${1:-$root/.cache/test-tools}
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)
reasons=()

# Built beside its place and renamed, so that an interrupted run leaves nothing that looks complete.
fresh() {
  rm -rf "$1.new"
  mkdir -p "$1.new"
}
finish() {
  rm -rf "$1"
  mv "$1.new" "$1"
}

secantus_works() { [[ -x $1/secantusdb.scripts/secantusd-rs ]] && "$1/secantusdb.scripts/secantusd-rs" --version >/dev/null 2>&1; }

install_secantus() {
  local home=$tools/secantusdb-$SECANTUS
  if ! secantus_works "$home"; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
      reasons+=("SecantusDB $SECANTUS: there is no python3 with pip")
      return 1
    fi
    fresh "$home"
    # Only the native server of the wheel is used, so none of the Python dependencies is needed.
    if ! python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
      --only-binary :all: --target "$home.new" "SecantusDB==$SECANTUS" >"$tools/secantusdb.log" 2>&1; then
      reasons+=("SecantusDB $SECANTUS: $(tail -n 1 "$tools/secantusdb.log")")
      return 1
    fi
    chmod +x "$home.new/secantusdb.scripts/secantusd-rs" 2>/dev/null || true
    if ! secantus_works "$home.new"; then
      reasons+=("SecantusDB $SECANTUS: its server does not start on this machine")
      return 1
    fi
    finish "$home"
  fi
  ln -sfn "../secantusdb-$SECANTUS/secantusdb.scripts/secantusd-rs" "$tools/bin/secantusd-rs"
}

install_java_server() {
  local home=$tools/mongo-java-server-$JAVA_SERVER
  if [[ ! -f $home/TestMongoServer.class ]]; then
    if ! command -v javac >/dev/null || ! command -v mvn >/dev/null; then
      reasons+=("mongo-java-server $JAVA_SERVER: there is no JDK with Maven (javac, mvn)")
      return 1
    fi
    fresh "$home"
    cat >"$home.new/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test-tools</groupId><artifactId>test-mongo</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server</artifactId><version>$JAVA_SERVER</version></dependency>
    <dependency><groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server-h2-backend</artifactId><version>$JAVA_SERVER</version></dependency>
  </dependencies>
</project>
POM
    if ! (cd "$home.new" && mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=lib &&
      javac -cp 'lib/*' -d . "$root/scripts/test-mongo/TestMongoServer.java") >"$tools/mongo-java-server.log" 2>&1; then
      reasons+=("mongo-java-server $JAVA_SERVER: $(grep -m 1 -E 'ERROR|error' "$tools/mongo-java-server.log" || echo failed)")
      return 1
    fi
    finish "$home"
  fi
  cat >"$tools/bin/mongo-java-server" <<'RUN'
#!/usr/bin/env bash
home=$(cd "$(dirname "${BASH_SOURCE[0]}")"/../mongo-java-server-VERSION && pwd)
exec java -Xmx256m -cp "$home:$home/lib/*" TestMongoServer "$@"
RUN
  sed -i.bak "s/VERSION/$JAVA_SERVER/" "$tools/bin/mongo-java-server" && rm -f "$tools/bin/mongo-java-server.bak"
  chmod +x "$tools/bin/mongo-java-server"
}

if install_secantus; then
  echo "test MongoDB: SecantusDB $SECANTUS in $tools/bin"
elif install_java_server; then
  printf 'test MongoDB: %s\n' "${reasons[@]}" >&2
  echo "test MongoDB: mongo-java-server $JAVA_SERVER in $tools/bin"
else
  printf 'test MongoDB: %s\n' "${reasons[@]}" >&2
  echo "test MongoDB: none could be installed; its suites will be skipped by name. Set MONGODB_TEST_URL or put a mongod on PATH." >&2
  exit 1
fi
