# An emulated AWS to deploy stacks onto. It has an environment of its own because it needs another botocore than the SAM CLI.

prepare_emulator() {
  export TOLLGATE_TEST_EMULATOR=$tools/emulator/bin
  python_environment emulator tests/setup/emulator-requirements.txt
}
