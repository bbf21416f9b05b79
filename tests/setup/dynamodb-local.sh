# DynamoDB Local: fetched once, started on a free port for these tests.

jar_package=amplify-dynamodb-simulator@2.9.30

want_dynamodb_local() {
  want java default-jre-headless
  [ -f "$tools/package/emulator/DynamoDBLocal.jar" ] || want npm npm
}

start_dynamodb_local() {
  if [ ! -f "$tools/package/emulator/DynamoDBLocal.jar" ]; then
    # `pack` runs no install script.
    (cd "$tools" && npm pack --silent "$jar_package" >/dev/null && tar -xzf amplify-dynamodb-simulator-*.tgz && rm ./*.tgz)
  fi
  local port=$((20000 + RANDOM % 20000))
  local home="$tools/package/emulator"
  java -Xmx512m -Djava.library.path="$home/DynamoDBLocal_lib" -jar "$home/DynamoDBLocal.jar" \
    -inMemory -sharedDb -disableTelemetry -port "$port" >"$tools/dynamodb-local.log" 2>&1 &
  local server=$!
  started+=("$server")
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      export TOLLGATE_TEST_DYNAMODB_LOCAL=http://127.0.0.1:$port
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.3
  done
  echo "test: DynamoDB Local did not start; its log:" >&2
  cat "$tools/dynamodb-local.log" >&2
  exit 1
}
