//! The command `qkdctl switch`.

mod diagram;
pub(crate) mod optics;
mod plan_file;
mod protect;

use super::{
    DRY_RUN,
    change::{ChangeResult, Target, check_ready, show_after_signal},
};
use crate::{
    cli::{Change, PortSwitch, SwitchSubcommand},
    interrupt::Work,
    journal::Entry,
    output::{self, Output},
    progress,
    session::{Device, Session},
};
use qkd_driver_kit::program::{files, lock::LockMode};
use qkd_hal::{
    Certainty, Error, ErrorKind, Identity, Operation, Result, Support, reading::Quality,
};
use qkd_switch_hal::{
    CrossConnects, Geometry, OpticalSwitch, Plan, Port, PortStatus, PowerFailureBehaviour,
    Readback, Scope, SwitchCapabilities, SwitchState, protection::ProtectionStatus,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

pub(crate) async fn run(
    session: &Session,
    output: Output,
    command: SwitchSubcommand,
) -> Result<u8> {
    match command {
        SwitchSubcommand::Show { device, ports } => show(session, output, &device, &ports).await,
        SwitchSubcommand::Plan {
            device,
            change,
            out,
        } => {
            let device = session.open(&device, LockMode::Shared).await?;
            let switch = device.opened.switch()?;
            let plan = planned(&*switch, &change).await?;
            if let Some(file) = &out {
                plan_file::write(file, &device.uri, &plan)?;
            }
            let report = json!({"device": device.uri, "plan": plan});
            output::print(output, "switch/plan", &report, || {
                let written = out.as_ref().map_or_else(String::new, |file| {
                    let file = file.display();
                    format!("written to {file}; to apply it: qkdctl switch apply --plan {file}\n")
                });
                describe(&plan) + &written
            })?;
            Ok(0)
        }
        SwitchSubcommand::Apply {
            device,
            change,
            plan,
            digest,
            yes,
        } => {
            let from_file = plan.as_deref().map(plan_file::read).transpose()?;
            let named = device.as_deref();
            let device = match (named, &from_file) {
                (Some(device), _) => device,
                (None, Some(file)) => {
                    output::note(output, &format!("the plan is for {}", file.device));
                    &file.device
                }
                (None, None) => {
                    return Err(Error::invalid(
                        "no device was given; name one, or a file with --plan",
                    ));
                }
            };
            let device = session.open_for(device, yes).await?;
            let switch = device.opened.switch()?;
            let plan = match from_file {
                Some(file) => {
                    plan_file::check(&*switch, &file.plan).await?;
                    file.plan.into_owned()
                }
                None => planned(&*switch, &change).await?,
            };
            if let Some(wanted) = digest
                && !wanted.eq_ignore_ascii_case(&hex::encode(plan.digest()))
            {
                let what = format!(
                    "the plan now has the digest {}, not the one given: the switch has moved on, \
                     or the change is another",
                    hex::encode(plan.digest())
                );
                return Err(Error::new(ErrorKind::StateChanged, what));
            }
            carry_out(session, output, "switch/apply", &device, &plan, yes).await
        }
        SwitchSubcommand::Port {
            device,
            port,
            state,
            yes,
        } => {
            let enable = state == PortSwitch::Enable;
            let target = Target::open(session, output, &device, yes).await?;
            optics::port(target, port, enable).await
        }
        SwitchSubcommand::Attenuate {
            device,
            port,
            setting,
            yes,
        } => {
            let yes = yes && setting.is_some();
            let target = Target::open(session, output, &device, yes).await?;
            optics::attenuate(target, port, setting).await
        }
        SwitchSubcommand::Monitor {
            device,
            port,
            setting,
            yes,
        } => {
            let yes = yes && setting.is_some();
            let target = Target::open(session, output, &device, yes).await?;
            optics::monitor(target, port, setting).await
        }
        SwitchSubcommand::Save { device, file } => save(session, output, &device, &file).await,
        SwitchSubcommand::Restore { device, file, yes } => {
            restore(session, output, &device, &file, yes).await
        }
        SwitchSubcommand::Protect(command) => protect::run(session, output, command).await,
    }
}

#[derive(Serialize)]
struct Shown {
    identity: Identity,
    geometry: Geometry,
    connections: Option<CrossConnects>,
    quality: Option<Quality>,
    ports: Vec<PortStatus>,
    power_loss: Certainty<PowerFailureBehaviour>,
    protection: Vec<ProtectionStatus>,
}

async fn show(session: &Session, output: Output, device: &str, wanted: &[Port]) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let switch = device.opened.switch()?;
    let identity = switch.identity().await?;
    let (connections, quality) = match switch.connections().await {
        Ok(now) => (Some(now.value), Some(now.quality)),
        Err(e)
            if e.kind() == ErrorKind::NotReady
                && switch.switch_capabilities().readback == Readback::LastAcknowledged =>
        {
            (None, None)
        }
        Err(e) => return Err(e),
    };
    let has = |op| switch.capabilities().supports(op) != Support::Unsupported;
    let ports = if has(Operation::Ports) {
        switch.ports(wanted).await?
    } else {
        Vec::new()
    };
    let protection = match device.opened.protection() {
        Ok(protection) => protect::groups(&*protection, None).await?,
        Err(_) => Vec::new(),
    };
    let SwitchCapabilities {
        geometry,
        power_loss,
        ..
    } = *switch.switch_capabilities();
    let shown = Shown {
        identity,
        geometry,
        connections,
        quality,
        ports,
        power_loss,
        protection,
    };
    output::print(output, "switch/show", &shown, || {
        let now = match (&shown.connections, shown.quality) {
            (Some(c), Some(q)) => format!("{c}{}", output::mark(q)),
            _ => {
                "unknown: this switch cannot be asked, and has acknowledged nothing yet".to_owned()
            }
        };
        let mut text = output::pairs(&[
            ("switch", shown.identity.to_string()),
            ("geometry", shown.geometry.to_string()),
            ("without power", shown.power_loss.to_string()),
            ("paths", now),
        ]);
        if let Some(paths) = shown.connections.as_ref().filter(|_| wanted.is_empty()) {
            text.push_str(&format!(
                "\n{}",
                diagram::draw(geometry, paths, &shown.ports)
            ));
        }
        if !shown.ports.is_empty() {
            let mut table = output::table(&["port", "state", "to", "power"]);
            for p in &shown.ports {
                table.add_row(output::cells([
                    p.port.to_string(),
                    p.state.to_string(),
                    p.peer.map_or_else(|| "-".to_owned(), |p| p.to_string()),
                    p.power.map_or_else(|| "-".to_owned(), output::dbm),
                ]));
            }
            text.push_str(&format!("\n{}\n", output::table_text(table)));
        }
        for group in &shown.protection {
            text.push_str(&format!("\n{}", protect::describe(group)));
        }
        text
    })?;
    switch.close().await?;
    Ok(0)
}

/// The plan of a change, from the present state; from nowhere, if the switch cannot be asked.
async fn planned(switch: &dyn OpticalSwitch, change: &Change) -> Result<Plan> {
    if change.connect.is_empty() && change.disconnect.is_empty() {
        return Err(Error::invalid(
            "no change was given; write --connect 1-17, or --disconnect 3",
        ));
    }
    let geometry = switch.switch_capabilities().geometry;
    let identity = switch.identity().await?;
    let scope = if change.ports.is_empty() {
        Scope::Touched
    } else {
        Scope::Ports(change.ports.iter().copied().collect())
    };
    let present = match switch.connections().await {
        Ok(now) if now.quality == Quality::Good => now.value,
        Ok(_) | Err(_) if switch.switch_capabilities().readback == Readback::LastAcknowledged => {
            let wanted = CrossConnects::dark().with_changes(
                &geometry,
                &change.disconnect,
                &change.connect,
            )?;
            return Plan::unverified(&identity, &geometry, &wanted);
        }
        Ok(now) => now.value,
        Err(e) => return Err(e),
    };
    let state = SwitchState {
        device: identity,
        geometry,
        connections: present,
    };
    state
        .plan()
        .disconnect_all(change.disconnect.iter().copied())
        .connect_all(change.connect.iter().copied())
        .scope(scope)
        .build()
}

fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.is_empty() {
        text.push_str("nothing to do: the switch is already in the requested state\n");
    }
    for (i, step) in plan.steps().iter().enumerate() {
        text.push_str(&format!("  {}. {step}\n", i + 1));
    }
    let ports: Vec<_> = plan.ports().iter().map(ToString::to_string).collect();
    text.push_str(&format!(
        "touches ports: {}\n",
        if ports.is_empty() {
            "none".to_owned()
        } else {
            ports.join(", ")
        }
    ));
    if plan.fingerprint().is_none() {
        text.push_str("unverified: the state of this switch cannot be read\n");
    }
    text.push_str(&format!("digest: {}\n", hex::encode(plan.digest())));
    text
}

async fn carry_out(
    session: &Session,
    output: Output,
    command: &str,
    device: &Device,
    plan: &Plan,
    yes: bool,
) -> Result<u8> {
    let switch = device.opened.switch()?;
    if !yes || plan.is_empty() {
        let result = if plan.is_empty() {
            ChangeResult::Already
        } else {
            check_ready(switch.descriptor(), switch.capabilities(), Operation::Apply)?;
            ChangeResult::DryRun
        };
        let report = json!({"result": result, "device": device.uri, "plan": plan});
        output::print(output, command, &report, || {
            if plan.is_empty() {
                describe(plan)
            } else {
                format!(
                    "{}Applying it disturbs traffic on these ports.\n{DRY_RUN}",
                    describe(plan)
                )
            }
        })?;
        return Ok(0);
    }
    let applying = progress::during(
        output,
        format!(
            "carrying out {}",
            output::count(plan.steps().len(), "step", "steps")
        ),
        switch.apply(plan),
    );
    let guard = session.interrupt.begin(Work::Change)?;
    // One step: the plan as a whole ends by the deadline of the device.
    let applied = Entry::new(&device.uri, "apply", plan.to_string())
        .run(applying)
        .await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => {
            show_after_signal(output, &guard, async || {
                Ok(format!("paths now: {}", switch.connections().await?.value))
            })
            .await;
            return Err(error);
        }
    };
    let report = json!({
        "result": ChangeResult::Applied, "device": device.uri, "plan": plan, "report": applied,
    });
    output::print(output, command, &report, || {
        let verified = if applied.verified {
            "read-back matches the plan"
        } else {
            "acknowledged; this switch cannot be read back"
        };
        format!(
            "{}applied {} in {} ms; {verified}",
            describe(plan),
            output::count(applied.steps, "step", "steps"),
            applied.took.as_millis()
        )
    })?;
    switch.close().await?;
    Ok(guard.exit_code(0))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: String,
    vendor: String,
    model: Option<String>,
    serial: Option<String>,
    connections: Vec<String>,
}

const FORMAT: &str = "qkdctl switch state 1";

async fn save(session: &Session, output: Output, device: &str, file: &Path) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let switch = device.opened.switch()?;
    let identity = switch.identity().await?;
    let now = switch.connections().await?;
    if now.quality != Quality::Good {
        return Err(Error::new(
            ErrorKind::NotReady,
            "the state of this switch cannot be read, so it cannot be saved",
        ));
    }
    let saved = Saved {
        format: FORMAT.to_owned(),
        vendor: identity.vendor,
        model: identity.model,
        serial: identity.serial,
        connections: now.value.iter().map(|c| c.to_string()).collect(),
    };
    let text = serde_json::to_string_pretty(&saved)
        .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
        + "\n";
    files::write_new(file, 0o644, text.as_bytes())
        .map_err(|e| Error::invalid(format!("file {}: {e}", file.display())))?;
    let report = json!({"device": device.uri, "file": file, "connections": now.value});
    output::print(output, "switch/save", &report, || {
        format!(
            "{} saved into {}",
            output::count(saved.connections.len(), "path", "paths"),
            file.display()
        )
    })?;
    switch.close().await?;
    Ok(0)
}

async fn restore(
    session: &Session,
    output: Output,
    device: &str,
    file: &Path,
    yes: bool,
) -> Result<u8> {
    let problem = |why: String| Error::invalid(format!("file {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| problem(e.to_string()))?;
    let saved: Saved = serde_json::from_str(&text).map_err(|e| problem(e.to_string()))?;
    if saved.format != FORMAT {
        return Err(problem(format!("it is no `{FORMAT}`")));
    }
    let device = session.open_for(device, yes).await?;
    let switch = device.opened.switch()?;
    let identity = switch.identity().await?;
    if (&saved.vendor, &saved.model, &saved.serial)
        != (&identity.vendor, &identity.model, &identity.serial)
    {
        return Err(Error::new(
            ErrorKind::IdentityChanged,
            format!("the file was saved from another switch than {identity}"),
        ));
    }
    let wanted: CrossConnects = if saved.connections.is_empty() {
        CrossConnects::dark()
    } else {
        saved.connections.join(",").parse()?
    };
    let plan = switch.plan().to(wanted).build().await?;
    carry_out(session, output, "switch/restore", &device, &plan, yes).await
}
