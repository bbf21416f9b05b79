# What comes as Python packages: the SAM CLI, cargo-lambda, and AWS's clients, in an environment of their own.

prepare_python() {
  export TOLLGATE_TEST_PYTHON=$tools/python/bin SAM_CLI_TELEMETRY=0
  command -v curl >/dev/null || install curl
  command -v python3 >/dev/null || install python3
  python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
  if ! cmp -s tests/setup/requirements.txt "$tools/python/requirements.txt"; then
    echo "test: installing AWS's clients, the SAM CLI and cargo-lambda"
    python3 -m venv --clear "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check --requirement tests/setup/requirements.txt
    cp tests/setup/requirements.txt "$tools/python/requirements.txt"
  fi
}
