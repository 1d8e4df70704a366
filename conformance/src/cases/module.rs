//! QKD modules, as they are read and run.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, not_applicable},
    journal::Snapshot,
    reading,
    requirement::Impact,
    result::TargetKind,
};
use qkd_hal::{
    ErrorKind, Operation as Op, QkdModule,
    qkd::{ModuleState, Role},
};
use std::sync::Arc;

pub(super) const CASES: &[Case] = &[
    Case::new(
        "QKD-01/status",
        "asks for the status",
        &[Precondition::Op(Op::ModuleStatus)],
        |b| Box::pin(status(b)),
    ),
    Case::new(
        "QKD-02/performance",
        "asks for the performance",
        &[Precondition::Op(Op::Performance)],
        |b| Box::pin(performance(b)),
    ),
    Case::new(
        "QKD-03/store",
        "asks for the key store",
        &[Precondition::Op(Op::KeyStore)],
        |b| Box::pin(store(b)),
    ),
    Case::new(
        "QKD-04/roles",
        "compares the roles of the two ends",
        &[Precondition::Op(Op::ModuleStatus), Precondition::Peer],
        |b| Box::pin(roles(b)),
    ),
    Case::new(
        "QKD-05/cut",
        "cuts the quantum channel, looks, mends it, looks again",
        &[Precondition::Op(Op::ModuleStatus), Precondition::Emulator],
        |b| Box::pin(cut(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "QKD-06/calibrated",
        "calibrates, and waits until it generates again",
        &[Precondition::Op(Op::Calibrate), Precondition::Live],
        |b| Box::pin(calibrated(b)),
    )
    .impact(Impact::Disruptive),
    Case::new(
        "QKD-07/started",
        "starts a module that runs",
        &[Precondition::Op(Op::Start), Precondition::Live],
        |b| Box::pin(started(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "QKD-08/noisy",
        "adds loss to the quantum channel, and looks at rate and QBER",
        &[Precondition::Op(Op::Performance), Precondition::Emulator],
        |b| Box::pin(lossy(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
];

pub(super) async fn open(b: &CaseContext) -> Result<Arc<dyn QkdModule>, NotPassed> {
    Ok(b.open().await?.module()?)
}

async fn status(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let status = b.call(Op::ModuleStatus, module.status()).await?;
    let declared = module.qkd_capabilities().role;
    ensure(status.role == declared, || {
        format!(
            "it declares the role {declared:?}, and says {:?}",
            status.role
        )
    })?;
    let blank = status.peer.as_ref().is_some_and(|p| p.trim().is_empty());
    ensure(!blank, || "it names a peer without a name".to_owned())
}

async fn performance(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    // The module has no values while it initialises.
    let reported = b.call(Op::ModuleStatus, module.status()).await?.state;
    if matches!(
        reported,
        ModuleState::Booting | ModuleState::Initialising | ModuleState::Calibrating
    ) {
        generating(b, &*module).await?;
    }
    let p = b.call(Op::Performance, module.performance()).await?;
    let ratios = [
        ("QBER", p.qber.map(|m| m.value.0)),
        ("visibility", p.visibility.map(|m| m.value.0)),
    ];
    for (name, value) in ratios {
        ensure(value.is_none_or(|v| (0.0..=1.0).contains(&v)), || {
            format!("the {name} is {value:?}, which is not within 0 to 1")
        })?;
    }
    // A key is made only below one half, where the two ends agree better than by chance.
    if let (Some(qber), Some(rate)) = (&p.qber, &p.secret_key_rate) {
        ensure(qber.value.0 < 0.5 || rate.value.0 <= 0.0, || {
            format!(
                "keys at {} bit/s, at a QBER of {}",
                rate.value.0, qber.value.0
            )
        })?;
    }
    if let Some(rate) = &p.secret_key_rate {
        ensure(rate.value.0.is_finite() && rate.value.0 >= 0.0, || {
            format!("the secret key rate is {} bit/s", rate.value.0)
        })?;
    }
    if let Some(noise) = &p.excess_noise {
        ensure(noise.value.0.is_finite(), || {
            format!("the excess noise is {}", noise.value.0)
        })?;
    }
    let any = p.qber.is_some()
        || p.secret_key_rate.is_some()
        || p.visibility.is_some()
        || p.excess_noise.is_some()
        || p.last_block.is_some();
    ensure(any, || {
        "it declares performance, and reports nothing".to_owned()
    })
}

async fn store(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let s = b.call(Op::KeyStore, module.key_store()).await?;
    if let (Some(stored), Some(capacity)) = (s.stored, s.capacity) {
        ensure(stored <= capacity, || {
            format!("{stored} keys are stored, of at most {capacity}")
        })?;
    }
    let sizes = [
        ("least", s.min_key_size),
        ("default", s.key_size),
        ("greatest", s.max_key_size),
    ];
    for (name, size) in sizes {
        ensure(
            size.is_none_or(|z| z.0 > 0 && z.to_bytes().is_some()),
            || format!("the {name} size is {size:?}, which is not a multiple of 8"),
        )?;
    }
    let ordered = |a: Option<qkd_hal::units::Bits>, z: Option<qkd_hal::units::Bits>| {
        a.zip(z).is_none_or(|(a, z)| a.0 <= z.0)
    };
    ensure(
        ordered(s.min_key_size, s.key_size)
            && ordered(s.key_size, s.max_key_size)
            && ordered(s.min_key_size, s.max_key_size),
        || format!("the sizes are {sizes:?}, which are out of order"),
    )?;
    ensure(s.max_per_request != Some(0), || {
        "no key may be asked for at once".to_owned()
    })
}

async fn roles(b: &CaseContext) -> CaseOutcome {
    let near = open(b).await?;
    let far = b.open_peer().await?.module()?;
    let (one, other) = (
        b.call(Op::ModuleStatus, near.status()).await?,
        b.call(Op::ModuleStatus, far.status()).await?,
    );
    let fit = matches!(
        (one.role, other.role),
        (Role::Transmitter, Role::Receiver)
            | (Role::Receiver, Role::Transmitter)
            | (Role::KeyDelivery, Role::KeyDelivery)
            | (Role::Transceiver, _)
            | (_, Role::Transceiver)
    );
    ensure(fit, || {
        format!("the two ends are a {:?} and a {:?}", one.role, other.role)
    })?;
    ensure(one.pairing_group == other.pairing_group, || {
        format!(
            "the two ends are of the groups {:?} and {:?}",
            one.pairing_group, other.pairing_group
        )
    })
}

async fn generating(b: &CaseContext, module: &dyn QkdModule) -> Result<bool, NotPassed> {
    reading::until(b, || async {
        Ok(module.status().await?.state == ModuleState::Generating)
    })
    .await
}

async fn cut(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    let first = b.call(Op::ModuleStatus, module.status()).await?.state;
    if first == ModuleState::Unknown {
        return not_applicable("it does not report its state");
    }
    ensure(generating(b, &*module).await?, || {
        format!("it does not generate to begin with: {first:?}")
    })?;
    b.fault("cut")?;
    let reported = reading::until(b, || async {
        Ok(module.status().await?.state != ModuleState::Generating)
    })
    .await?;
    b.fault("clear")?;
    ensure(reported, || {
        "the quantum channel was cut, and it says that it generates".to_owned()
    })?;
    ensure(generating(b, &*module).await?, || {
        "the quantum channel was mended, and it does not generate again".to_owned()
    })
}

/// Returns the module if its key generation may be interrupted: on a real device, only if its file
/// allows it. The module must generate keys: a stopped one is not started.
async fn may_be_stopped(b: &CaseContext) -> Result<Arc<dyn QkdModule>, NotPassed> {
    if b.session.dut.target_kind() == TargetKind::Device && !b.session.dut.generation {
        return Err(NotPassed::Disabled(
            "say that key generation may be interrupted, with generation = true".to_owned(),
        ));
    }
    let module = open(b).await?;
    if generating(b, &*module).await? {
        Ok(module)
    } else {
        Err(NotPassed::Disabled(
            "it does not generate to begin with".to_owned(),
        ))
    }
}

async fn calibrated(b: &CaseContext) -> CaseOutcome {
    let module = may_be_stopped(b).await?;
    b.record_snapshot(&Snapshot::Other("the module was generating".to_owned()))?;
    b.call(Op::Calibrate, module.calibrate()).await?;
    ensure(generating(b, &*module).await?, || {
        "it was calibrated, and does not generate again".to_owned()
    })?;
    b.note_restored("generating");
    Ok(())
}

async fn started(b: &CaseContext) -> CaseOutcome {
    let module = may_be_stopped(b).await?;
    match b.call(Op::Start, module.start()).await {
        // A running module is not a failure, nor is the refusal of a second start.
        Ok(()) => {}
        Err(error) => {
            let right = matches!(error.kind(), ErrorKind::NotReady | ErrorKind::Refused);
            ensure(right, || format!("starting a module that runs: {error}"))?;
        }
    }
    ensure(generating(b, &*module).await?, || {
        "it was generating, was started, and does not generate any more".to_owned()
    })?;
    b.note_restored("generating");
    Ok(())
}

async fn lossy(b: &CaseContext) -> CaseOutcome {
    let module = open(b).await?;
    ensure(generating(b, &*module).await?, || {
        "it does not generate to begin with".to_owned()
    })?;
    let before = b.call(Op::Performance, module.performance()).await?;
    b.fault("loss-db=9")?;
    tokio::time::sleep(std::time::Duration::from_secs(
        if b.session.dut.target_kind().has_wall_time() {
            1
        } else {
            120
        },
    ))
    .await;
    let after = b.call(Op::Performance, module.performance()).await;
    b.fault("clear")?;
    // At too high a loss, the module generates no key and may report that it is not ready.
    let after = match after {
        Err(error) if error.kind() == ErrorKind::NotReady => Default::default(),
        other => other?,
    };
    if let (Some(one), Some(two)) = (before.qber, after.qber) {
        ensure(two.value.0 >= one.value.0, || {
            format!(
                "9 dB more loss, and the QBER went from {} to {}",
                one.value.0, two.value.0
            )
        })?;
    }
    if let (Some(one), Some(two)) = (before.secret_key_rate, after.secret_key_rate) {
        ensure(two.value.0 <= one.value.0, || {
            format!(
                "9 dB more loss, and the key rate went from {} to {} bit/s",
                one.value.0, two.value.0
            )
        })?;
    }
    ensure(generating(b, &*module).await?, || {
        "the loss has gone, and it does not generate again".to_owned()
    })
}
