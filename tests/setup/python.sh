# What comes as Python packages: the SAM CLI, cargo-lambda, and AWS's clients, in an environment of their own.

# python_environment NAME REQUIREMENTS CONTENTS: makes target/tools/NAME, again when the list of requirements has changed.
python_environment() {
  command -v python3 >/dev/null || install python3
  python3 -c 'import ensurepip' 2>/dev/null || install python3-venv
  if ! cmp -s "$2" "$tools/$1/requirements.txt"; then
    echo "test: installing $3"
    python3 -m venv --clear "$tools/$1"
    "$tools/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
    cp "$2" "$tools/$1/requirements.txt"
  fi
}

prepare_python() {
  export TOLLGATE_TEST_PYTHON=$tools/python/bin SAM_CLI_TELEMETRY=0
  command -v curl >/dev/null || install curl
  python_environment python tests/setup/requirements.txt "AWS's clients, the SAM CLI and cargo-lambda"
}
