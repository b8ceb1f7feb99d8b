//! The admin API, held against its own description by schemathesis.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::server::{Background, Binary};
use crate::stage::Stage;

const CONFIG: &str = include_str!("../clients/schemathesis.toml");
/// Requests made up for each operation and kind of test.
const EXAMPLES: &str = "25";
/// The same requests each time: what a run finds, the next one finds too.
const SEED: &str = "7030";
const LIMIT: Duration = Duration::from_secs(300);

/// Runs it; `python` is one that may have schemathesis.
pub(crate) fn run(stage: &Stage, python: &Path, required: bool, matrix: &mut Matrix) {
    matrix.case("admin/schemathesis", || match examine(stage, python) {
        Err(Problem::NotRun(reason)) if required => Err(Problem::failed(reason)),
        outcome => outcome,
    });
}

fn examine(stage: &Stage, python: &Path) -> Check {
    // It runs in another folder.
    let st = std::path::absolute(python.with_file_name("schemathesis"))?;
    if !st.exists() {
        return Err(Problem::not_run("schemathesis is not installed"));
    }
    let folder = stage.pki.path("admin-api");
    let shown = folder.display().to_string();
    stage.binary.run(&["init", &shown, "--listen", "127.0.0.1:0"])?.succeeded("estd init")?;
    let path = folder.join("config.toml");
    let config = String::from_utf8_lossy(&command::read(&path)?).into_owned();
    let config = config.replace("# status_listen = \"127.0.0.1:9443\"", "status_listen = \"127.0.0.1:0\"");
    command::write(&path, format!("{config}\n[admin]\nlisten = [\"127.0.0.1:0\"]\n"))?;
    let mut serve = Command::new(&stage.binary.0);
    serve.args(["serve", "--log", "warn", "--config"]).arg(&path);
    let socket = format!("estd: admin API on {}", folder.join("data/admin.sock").display());
    let server = Background::start(&mut serve)?;
    let lines = server.lines_until(&socket)?;
    let base = lines.iter().find_map(|line| line.strip_prefix("estd: admin API on "));
    let base =
        base.and_then(|base| base.strip_suffix("/api/v1")).ok_or_else(|| Problem::failed("no admin API over TLS"))?;
    let token = token(&stage.binary, &path)?;
    command::write(&folder.join("devices.csv"), "id,tags\nSN-1,a\nSN-2,\n")?;
    let devices = folder.join("devices.csv").display().to_string();
    let config = path.display().to_string();
    stage.binary.run(&["device", "import", &devices, "--config", &config])?.succeeded("estd device import")?;

    let settings = folder.join("schemathesis.toml");
    command::write(&settings, CONFIG)?;
    let mut schemathesis = Command::new(st);
    schemathesis.current_dir(&folder).arg("--config-file").arg(settings).arg("run");
    schemathesis.arg(format!("{base}/api/v1/openapi.json")).args(["--url", base, "--tls-verify=false"]);
    schemathesis.arg("--header").arg(format!("Authorization: Bearer {token}"));
    schemathesis.args([
        "--checks",
        "all",
        "--suppress-health-check",
        "all",
        "--max-examples",
        EXAMPLES,
        "--seed",
        SEED,
        "--workers",
        "2",
    ]);
    let found = command::run(&mut schemathesis, &[], LIMIT)?;
    ensure!(found.status.success(), "schemathesis: {}", found.text());
    drop(server);
    Ok(())
}

/// The first admin's.
fn token(binary: &Binary, config: &Path) -> Result<String, Problem> {
    let config = config.display().to_string();
    let made = binary.run(&["admin", "bootstrap", "--json", "--config", &config])?.succeeded("estd admin bootstrap")?;
    let made: serde_json::Value =
        serde_json::from_slice(&made).map_err(|error| Problem::failed(format!("estd admin bootstrap: {error}")))?;
    let token = made.get("token").and_then(serde_json::Value::as_str);
    token.map(str::to_owned).ok_or_else(|| Problem::failed("estd admin bootstrap shows no token"))
}
