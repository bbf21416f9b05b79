//! `sam deploy`, onto an emulated AWS that enforces IAM (`tests/deploy/emulator.py`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::lambda::binary;
use crate::sam;

/// Where `./test` has installed the emulator; it sets this.
const EMULATOR: &str = "TOLLGATE_TEST_EMULATOR";
/// Where `./test` has put the functions and the template of the release before this one; it sets this.
const PREVIOUS: &str = "TOLLGATE_TEST_PREVIOUS";
/// The defaults that `sam` reads where it is started.
const SAM_CONFIG: &str = "samconfig.toml";
/// What a deployment may take on a busy machine.
const SCRIPT_LIMIT: &str = "600";

/// A release as `sam build` would leave it: a template, and the functions' programs.
pub struct Release {
    /// Its text.
    pub template: String,
    programs: PathBuf,
}

impl Release {
    /// This one.
    pub fn this() -> Self {
        Self {
            template: fs::read_to_string(sam::root().join("template.yaml")).unwrap(),
            programs: binary("authorizer").parent().unwrap().to_owned(),
        }
    }

    /// The one before.
    pub fn previous() -> Self {
        let programs = PathBuf::from(set_by_test(PREVIOUS));
        Self {
            template: fs::read_to_string(programs.join("template.yaml")).unwrap(),
            programs,
        }
    }

    /// The same without a member of its template: the line that it begins with, and the deeper ones below.
    #[must_use]
    pub fn without(mut self, member: &str) -> Self {
        assert!(self.template.contains(member), "{member}");
        let depth = |line: &str| line.len() - line.trim_start().len();
        let mut is_inside = false;
        let lines = self.template.split_inclusive('\n');
        let kept = lines.filter(|line| {
            let is_its_first = line.trim_end() == member;
            is_inside = is_its_first || (is_inside && depth(line) > depth(member));
            !is_inside
        });
        self.template = kept.collect();
        self
    }
}

/// An emulated AWS, and a folder from which releases are deployed onto it.
pub struct Aws {
    /// It ends, and its functions with it, when this closes its standard input.
    emulator: Child,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// An IAM user's credentials.
pub struct User {
    key_id: String,
    secret: String,
}

impl Aws {
    /// Starts one, and waits until it serves.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, proxy_port] = free_ports().await;
        let log = fs::File::create(folder.path().join("emulator.log")).unwrap();
        let python = set_by_test(EMULATOR);
        let mut emulator = Command::new(format!("{python}/python"));
        emulator
            .arg(sam::root().join("tests/deploy/emulator.py"))
            .args([port.to_string(), proxy_port.to_string()])
            .arg(folder.path())
            // It finds its own settings only.
            .env_remove("HTTP_PROXY")
            .env_remove("HTTPS_PROXY")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let certificate = folder.path().join("ca.pem");
        let path = std::env::var("PATH").unwrap();
        let programs = binary("tollgate").parent().unwrap().to_owned();
        let tools = set_by_test(sam::PYTHON);
        let environment = vec![
            ("PATH", format!("{tools}:{}:{path}", programs.display())),
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            // Deployed APIs are called by the names that the stack's outputs give.
            ("HTTPS_PROXY", format!("http://127.0.0.1:{proxy_port}")),
            ("SSL_CERT_FILE", certificate.display().to_string()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
            ("STACK", "tollgate".to_owned()),
        ];
        let mut aws = Self {
            emulator: emulator.spawn().unwrap(),
            folder,
            environment,
        };
        fs::create_dir(aws.project()).unwrap();
        let config = fs::read_to_string(sam::root().join(SAM_CONFIG)).unwrap();
        // Nobody is there to confirm.
        let config = config.replace("confirm_changeset = true", "confirm_changeset = false");
        fs::write(aws.project().join(SAM_CONFIG), config).unwrap();
        aws.wait_until_it_serves(port).await;
        aws
    }

    async fn wait_until_it_serves(&mut self, port: u16) {
        let serves =
            format!("curl -sf -m 5 -o /dev/null http://127.0.0.1:{port}/_ministack/health");
        for _ in 0..240 {
            if self.try_run(&serves).await.status.success() {
                return;
            }
            if self.emulator.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let log = fs::read_to_string(self.folder.path().join("emulator.log"));
        panic!("the emulator does not serve: {}", log.unwrap());
    }

    /// The folder that scripts are run in: the project, as far as `sam deploy` needs it.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Lays out what `sam build` leaves of a release.
    pub async fn build(&self, release: &Release) {
        let build = self.project().join(".aws-sam/build");
        if build.exists() {
            fs::remove_dir_all(&build).unwrap();
        }
        let mut template = String::new();
        let mut resource = "";
        for line in release.template.lines() {
            let is_resource = line.starts_with("  ") && !line.starts_with("   ");
            if let Some(name) = line.trim().strip_suffix(':').filter(|_| is_resource) {
                resource = name;
            }
            let program = line.trim().strip_prefix("CodeUri: functions/");
            if let Some(program) = program {
                let folder = build.join(resource);
                fs::create_dir_all(&folder).unwrap();
                strip(&release.programs.join(program), &folder.join("bootstrap")).await;
                template.push_str(&line.replace(&format!("functions/{program}"), resource));
            } else {
                template.push_str(line);
            }
            template.push('\n');
        }
        fs::write(build.join("template.yaml"), template).unwrap();
    }

    /// Deploys what was built.
    pub async fn deploy(&self, arguments: &str) {
        self.run(&format!("sam deploy --no-progressbar {arguments}"))
            .await;
    }

    /// Runs a script of bash that has to succeed; what it prints, without the last end of line.
    pub async fn run(&self, script: &str) -> String {
        let output = self.try_run(script).await;
        assert!(output.status.success(), "{script}:\n{}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim_end().to_owned()
    }

    /// Runs a script of bash. What it says is shown when the test fails.
    pub async fn try_run(&self, script: &str) -> Output {
        let output = self.command(script).output().await.unwrap();
        eprintln!("$ {script}\n{}", said(&output));
        output
    }

    fn command(&self, script: &str) -> Command {
        // It ends whatever the script has started as well.
        let mut command = sam::command("timeout");
        command
            .args(["--kill-after=10", SCRIPT_LIMIT])
            .args(["bash", "-euo", "pipefail", "-c", script])
            .current_dir(self.project())
            .env_remove("TOLLGATE_URL")
            .env_remove("TOLLGATE_STACK")
            .env_remove("HTTP_PROXY")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Sets a variable for scripts.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// An output of a stack.
    pub async fn output(&self, stack: &str, name: &str) -> String {
        let query = format!("Stacks[0].Outputs[?OutputKey=='{name}'].OutputValue");
        let describe = format!("aws cloudformation describe-stacks --stack-name {stack}");
        self.run(&format!("{describe} --output text --query \"{query}\""))
            .await
    }

    /// Makes an IAM user with this policy and no other rights.
    pub async fn user(&self, name: &str, policy: &Value) -> User {
        self.run(&format!("aws iam create-user --user-name {name}"))
            .await;
        self.allow(name, policy).await;
        let create = format!("aws iam create-access-key --user-name {name}");
        let created: Value = serde_json::from_str(&self.run(&create).await).unwrap();
        let part = |member: &str| created["AccessKey"][member].as_str().unwrap().to_owned();
        User {
            key_id: part("AccessKeyId"),
            secret: part("SecretAccessKey"),
        }
    }

    /// Replaces an IAM user's policy.
    pub async fn allow(&self, name: &str, policy: &Value) {
        let put = "aws iam put-user-policy --policy-name manage --user-name";
        self.run(&format!("{put} {name} --policy-document '{policy}'"))
            .await;
    }

    /// Runs the command line as an IAM user.
    pub async fn try_cli(&self, user: &User, line: &str) -> Output {
        let mut command = self.command(&format!("tollgate {line}"));
        command
            .env("AWS_ACCESS_KEY_ID", &user.key_id)
            .env("AWS_SECRET_ACCESS_KEY", &user.secret);
        command.output().await.unwrap()
    }

    /// What the command line prints as JSON for an IAM user. A function that starts on a busy machine may not reach its store in
    /// time: that is asked for again, as clients do.
    pub async fn cli(&self, user: &User, line: &str) -> Value {
        let line = format!("{line} --output json");
        let mut words = String::new();
        for _ in 0..20 {
            let output = self.try_cli(user, &line).await;
            if output.status.success() {
                return serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            }
            words = said(&output);
            assert!(words.contains("(5"), "tollgate {line}: {words}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("tollgate {line} fails again and again: {words}");
    }

    /// The status of a request, with a key or without one.
    pub async fn status(&self, url: &str, key: Option<&str>) -> String {
        let header = key.map(|key| format!("-H 'x-api-key: {key}'"));
        let header = header.unwrap_or_default();
        let curl = "curl -s -m 60 -o /dev/null --cacert \"$SSL_CERT_FILE\" -w '%{http_code}'";
        self.run(&format!("{curl} {header} {url}")).await
    }

    /// Asks again until a request with a key has this status. After a deployment it takes a while.
    pub async fn wait_for_status(&self, expected: &str, url: &str, key: &str) {
        let mut status = String::new();
        for _ in 0..60 {
            status = self.status(url, Some(key)).await;
            if status == expected {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{url} answers {status}, expected {expected}");
    }
}

/// Both streams of a program.
pub fn said(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{error}")
}

fn set_by_test(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; run ./test"))
}

/// Programs with debug data are several times as large, and are uploaded and unpacked again and again.
async fn strip(program: &Path, bootstrap: &Path) {
    sam::run(Command::new("strip").arg("-o").args([bootstrap, program])).await;
}

async fn free_ports() -> [u16; 2] {
    let [first, second] = [free().await, free().await];
    [first, second].map(|listener| listener.local_addr().unwrap().port())
}

async fn free() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
}
