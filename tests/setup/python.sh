# What comes as Python packages: the SAM CLI, cargo-lambda, and AWS's clients, in an environment of their own.

want_python() {
  want python3 python3 python3-venv
  ! command -v python3 >/dev/null || python3 -c 'import ensurepip' 2>/dev/null || wanted+=(python3-venv)
}

# python_environment NAME REQUIREMENTS: makes target/tools/NAME, again when the list of requirements has changed.
python_environment() {
  if ! cmp -s "$2" "$tools/$1/requirements.txt"; then
    python3 -m venv --clear "$tools/$1"
    "$tools/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
    cp "$2" "$tools/$1/requirements.txt"
  fi
}

prepare_python() {
  export TOLLGATE_TEST_PYTHON=$tools/python/bin SAM_CLI_TELEMETRY=0
  python_environment python tests/setup/requirements.txt
}
