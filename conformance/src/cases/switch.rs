//! Optical switches, as they are read.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    requirement::Impact,
};
use qkd_hal::{ErrorKind, Operation as Op};
use qkd_switch_hal::{
    CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Port, PortState, Readback,
    SwitchState,
};
use std::sync::Arc;

pub(super) const CASES: &[Case] = &[
    Case::new(
        "SWI-01/geometry",
        "reads the paths and compares them with the geometry",
        &[Precondition::Op(Op::Connections)],
        |b| Box::pin(geometry(b)),
    ),
    Case::new(
        "SWI-02/twice",
        "reads the paths twice",
        &[Precondition::Op(Op::Connections)],
        |b| Box::pin(twice(b)),
    ),
    Case::new(
        "SWI-03/peers",
        "compares the ports with the paths",
        &[
            Precondition::Op(Op::Ports),
            Precondition::Op(Op::Connections),
        ],
        |b| Box::pin(peers(b)),
    ),
    Case::new(
        "SWI-04/order",
        "requests ports in a different order",
        &[Precondition::Op(Op::Ports)],
        |b| Box::pin(requested_order(b)),
    ),
    Case::new(
        "SWI-07/outside",
        "names ports that are not there",
        &[],
        |b| Box::pin(outside(b)),
    )
    .negative(),
    Case::new(
        "SWI-08/failed-port",
        "lets a port fail, and looks at it",
        &[Precondition::Op(Op::Ports), Precondition::Emulator],
        |b| Box::pin(failed_port(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "SWI-09/blind",
        "asks a switch that cannot be read before it has acknowledged anything",
        &[Precondition::Op(Op::Connections)],
        |b| Box::pin(unknown_at_first(b)),
    )
    .negative(),
];

pub(super) async fn open(b: &CaseContext) -> Result<Arc<dyn OpticalSwitch>, NotPassed> {
    Ok(b.open().await?.switch()?)
}

/// Reads the cross-connects; not applicable if the switch does not report them.
pub(super) async fn paths(
    b: &CaseContext,
    switch: &dyn OpticalSwitch,
) -> Result<CrossConnects, NotPassed> {
    if switch.switch_capabilities().readback != Readback::Device {
        return not_applicable("it does not report its cross-connects");
    }
    Ok(b.call(Op::Connections, switch.connections()).await?.value)
}

/// The only answer to a question of one.
pub(super) fn only<T>(mut answers: Vec<T>) -> Result<T, NotPassed> {
    match (answers.pop(), answers.len()) {
        (Some(answer), 0) => Ok(answer),
        (None, _) => fail("one was requested, and none was reported"),
        (_, more) => fail(format!("one was requested, and {} were reported", more + 1)),
    }
}

async fn geometry(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let present = paths(b, &*switch).await?;
    let geometry = switch.switch_capabilities().geometry;
    match geometry.check_state(&present) {
        Ok(()) => Ok(()),
        Err(error) => fail(format!(
            "it reports {present}, which is impossible in its geometry ({geometry}): {}",
            error.message()
        )),
    }
}

async fn twice(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let (first, second) = (paths(b, &*switch).await?, paths(b, &*switch).await?);
    ensure(first == second, || {
        format!("it first reported {first}, then {second}")
    })
}

async fn peers(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let present = paths(b, &*switch).await?;
    let all = b.call(Op::Ports, switch.ports(&[])).await?;
    let reported: Vec<Port> = all.iter().map(|p| p.port).collect();
    let there: Vec<Port> = switch.switch_capabilities().geometry.ports().collect();
    ensure(reported == there, || {
        format!(
            "it reports {} ports, and has {}",
            reported.len(),
            there.len()
        )
    })?;
    for status in all {
        let peer = present.peer(status.port);
        ensure(status.peer == peer, || {
            format!(
                "port {} has the peer {:?} in its status, and {peer:?} in the paths",
                status.port, status.peer
            )
        })?;
    }
    Ok(())
}

async fn requested_order(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let mut asked: Vec<Port> = switch.switch_capabilities().geometry.ports().collect();
    asked.reverse();
    asked.truncate(5);
    let reported: Vec<Port> = b
        .call(Op::Ports, switch.ports(&asked))
        .await?
        .iter()
        .map(|p| p.port)
        .collect();
    ensure(reported == asked, || {
        format!("{asked:?} were requested, and {reported:?} reported")
    })?;
    Ok(())
}

async fn outside(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let geometry = switch.switch_capabilities().geometry;
    let sent = b.records().len();
    let last = geometry.ports().map(|p| p.0).max().unwrap_or(0);
    for port in [last + 1, u32::MAX].map(Port) {
        let mut errors = Vec::new();
        if b.session.can(Op::Ports) {
            errors.push((
                "ports",
                expect_error(
                    format!("the state of port {port}"),
                    switch.ports(&[port]).await,
                )?,
            ));
        }
        if b.session.can(Op::SetPort) {
            errors.push((
                "set-port",
                expect_error(
                    format!("enabling port {port}"),
                    switch.set_port(port, true).await,
                )?,
            ));
        }
        // A plan for more ports than it has, made with a geometry that is not its own.
        let first = geometry.ports().next().unwrap_or(Port(1));
        let (larger, path) = match geometry {
            Geometry::OneByN { .. } => (
                Geometry::one_by(port.0),
                CrossConnect {
                    ingress: first,
                    egress: port,
                },
            ),
            _ => (
                Geometry::matrix(1, port.0 - 1),
                CrossConnect {
                    ingress: Port(1),
                    egress: port,
                },
            ),
        };
        let identity = crate::restore::identity(&*switch).await?;
        let wanted: CrossConnects = std::iter::once(path).collect::<Result<_, _>>()?;
        let blind = match larger {
            Geometry::Matrix { .. } => SwitchState {
                device: identity.clone(),
                geometry: larger,
                connections: CrossConnects::dark(),
            }
            .plan()
            .to(wanted.clone())
            .build(),
            _ if port.0 > 1 << 20 => continue,
            _ => Plan::unverified(&identity, &larger, &wanted),
        };
        let plan = blind?;
        let sent = b.records().len();
        errors.push((
            "apply",
            expect_error(
                format!("a plan with port {port}"),
                switch.apply(&plan).await,
            )?,
        ));
        b.check_no_traffic_since(sent)?;
        for (what, error) in errors {
            ensure(error.kind() == ErrorKind::InvalidInput, || {
                format!("{what} with port {port}: {error}")
            })?;
        }
    }
    match b
        .records()
        .get(sent..)
        .unwrap_or_default()
        .iter()
        .find(|r| r.changes)
    {
        None => Ok(()),
        Some(record) => fail(format!(
            "`{}` was sent, where nothing that changes may be",
            record.name
        )),
    }
}

async fn failed_port(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    let port = switch
        .switch_capabilities()
        .geometry
        .ports()
        .find(|p| p.0 > 0)
        .unwrap_or(Port(1));
    let before = only(b.call(Op::Ports, switch.ports(&[port])).await?)?;
    ensure(before.state != PortState::Failed, || {
        format!("port {port} has failed to begin with")
    })?;
    b.fault(&format!("port-fails={}", port.0))?;
    let after = only(b.call(Op::Ports, switch.ports(&[port])).await?)?;
    b.fault("clear")?;
    // Some interfaces have no word for it; none may call it usable.
    ensure(
        !matches!(after.state, PortState::Enabled | PortState::Unknown),
        || format!("port {port} failed, and is reported as {:?}", after.state),
    )
}

async fn unknown_at_first(b: &CaseContext) -> CaseOutcome {
    let switch = open(b).await?;
    if switch.switch_capabilities().readback != Readback::LastAcknowledged {
        return not_applicable("it reports its cross-connects");
    }
    let error = expect_error(
        "the paths of a switch that cannot be read, before it has acknowledged any",
        switch.connections().await,
    )?;
    ensure(error.kind() == ErrorKind::NotReady, || {
        format!("the paths, before any was acknowledged: {error}")
    })
}
