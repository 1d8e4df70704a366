//! No handle of any device passes the layers that are installed on it.

use async_trait::async_trait;
use qkd_driver_kit::{OpenContext, OpenedDevice};
use qkd_emulators::{
    profile::{InMemory, Options},
    profiles,
};
use qkd_hal::{
    Effect, Error, ErrorKind, Key, Layer, Operation, Request, Result,
    encryptor::{Confirmation, Staged},
    layer::{Call, CallEnd},
    optics::{
        Attenuation, Geometry, MonitorSetting, Plan,
        protection::{ExternalCommand, ProtectionSetting, SelectionMode},
    },
    parameter::ParameterValue,
    qkd::KeyRequest,
    request::Caller,
    units::Nanometres,
};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Records the calls under its name, and refuses one operation.
struct Witness {
    name: &'static str,
    refuses: Option<Operation>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Witness {
    fn note(&self, what: &str, operation: Operation) {
        let line = format!("{} {what} {operation}", self.name);
        self.seen.lock().unwrap().push(line);
    }
}

#[async_trait]
impl Layer for Witness {
    async fn before(&self, call: &Call<'_>) -> Result<()> {
        let operation = call.request.operation();
        self.note("before", operation);
        if self.refuses == Some(operation) {
            // An effect that the layer learned elsewhere is not that on this device.
            return Err(Error::new(ErrorKind::NotReady, "not now").with_effect(Effect::Partial));
        }
        Ok(())
    }
    fn after(&self, call: &Call<'_>, end: CallEnd<'_>, _: Instant) {
        let what = match end {
            CallEnd::Returned(_) => "returned",
            CallEnd::Failed(_) => "failed",
            _ => "abandoned",
        };
        self.note(what, call.request.operation());
    }
}

/// Installs witnesses; returns what they note.
fn witnesses(
    opened: &OpenedDevice,
    all: &[(&'static str, Option<Operation>)],
) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for (name, refuses) in all {
        opened.call_guard().install(Arc::new(Witness {
            name,
            refuses: *refuses,
            seen: Arc::clone(&seen),
        }));
    }
    seen
}

async fn open(memory: &InMemory, end: usize) -> OpenedDevice {
    let registry = qkd_hardware::registry();
    let context = memory.attach(OpenContext::new());
    registry.open(&memory.uris()[end], &context).await.unwrap()
}

fn memory(name: &str) -> InMemory {
    profiles::in_memory(name, &Options::default()).unwrap()
}

/// A request of each operation, with arguments that need not fit the device.
fn every_request(key: &Key) -> Vec<Request<'_>> {
    let staged = Staged::new("none".into(), key.id().clone(), None, "none");
    let confirmed = Confirmation::new(&staged, true, "none")
        .confirmed()
        .unwrap();
    let channel = || Cow::Owned("none".into());
    let group = || Cow::Owned("none".into());
    let port = 1.into();
    let dark = "common-1".parse().unwrap();
    let plan = Plan::unverified(&qkd_hal::Identity::new("none"), &Geometry::one_by(2), &dark);
    vec![
        Request::Identity,
        Request::Health,
        Request::Telemetry,
        Request::GetParameter {
            name: "none".into(),
        },
        Request::SetParameter {
            name: "none".into(),
            value: Cow::Owned(ParameterValue::Flag(true)),
        },
        Request::ModuleStatus,
        Request::Performance,
        Request::KeyStore,
        Request::Start,
        Request::Stop,
        Request::Calibrate,
        Request::TakeKeys {
            request: Cow::Owned(KeyRequest::new(0)),
        },
        Request::TakeKeysById {
            ids: Cow::Borrowed(&[]),
        },
        Request::Channels,
        Request::Channel { channel: channel() },
        Request::Stage {
            channel: channel(),
            key: key.into(),
        },
        Request::Activate {
            staged: Cow::Owned(staged.clone()),
        },
        Request::Confirm {
            staged: Cow::Owned(staged),
            longest: Duration::from_secs(1),
        },
        Request::Retire {
            confirmed: Cow::Owned(confirmed),
        },
        Request::Zeroize { channel: channel() },
        Request::SetEncryption {
            channel: channel(),
            on: true,
        },
        Request::Counters { channel: channel() },
        Request::Random { length: 0 },
        Request::Connections,
        Request::Ports {
            ports: Cow::Borrowed(&[]),
        },
        Request::Apply {
            plan: Cow::Owned(plan.unwrap()),
        },
        Request::SetPort {
            port,
            enabled: true,
        },
        Request::Power {
            ports: Cow::Borrowed(&[]),
        },
        Request::Monitor { port },
        Request::SetMonitor {
            port,
            change: MonitorSetting::Wavelength(Nanometres(1550.0)),
        },
        Request::Attenuation { port },
        Request::SetAttenuation {
            port,
            wanted: Cow::Owned(Attenuation::Maximum),
        },
        Request::ProtectionGroups,
        Request::ProtectionStatus { group: group() },
        Request::SetProtection {
            group: group(),
            setting: Cow::Owned(ProtectionSetting::Mode(SelectionMode::Manual)),
        },
        Request::ProtectionCommand {
            group: group(),
            command: Cow::Owned(ExternalCommand::Clear),
        },
    ]
}

fn key() -> Key {
    Key::new("0102".parse().unwrap(), vec![7; 32].into())
}

#[tokio::test(start_paused = true)]
async fn every_operation_of_every_handle_passes_the_layers() {
    let mut reached = BTreeSet::new();
    let ends = |name| 0..memory(name).uris().len();
    let all = profiles::all().iter().map(|profile| profile.name);
    for (name, end) in all.flat_map(|name| ends(name).map(move |end| (name, end))) {
        let memory = memory(name);
        let opened = open(&memory, end).await;
        let seen = witnesses(&opened, &[("layer", None)]);
        let key = key();
        for request in every_request(&key) {
            let operation = request.operation();
            let result = opened.call(&request).await;
            let seen = std::mem::take(&mut *seen.lock().unwrap());
            let no_handle = matches!(&result, Err(e) if e.operation() == Some("open"));
            if no_handle {
                assert_eq!(seen, [""; 0], "{name}: {operation}");
                continue;
            }
            let end = if result.is_ok() { "returned" } else { "failed" };
            let expected = [
                format!("layer before {operation}"),
                format!("layer {end} {operation}"),
            ];
            assert_eq!(seen, expected, "{name}: {operation}");
            reached.insert(operation);
        }
    }
    let all: BTreeSet<Operation> = Operation::ALL.iter().copied().collect();
    let missed: Vec<_> = all.difference(&reached).collect();
    assert!(missed.is_empty(), "no emulated device has {missed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_layer_that_was_installed_last_is_outermost() {
    let memory = memory("polatis-16x16");
    let registry_layer = Arc::new(Mutex::new(Vec::new()));
    let layer = Witness {
        name: "registry",
        refuses: None,
        seen: Arc::clone(&registry_layer),
    };
    let registry = qkd_hardware::registry().with_layer(Arc::new(layer));
    let context = memory.attach(OpenContext::new());
    let opened = registry.open(&memory.uris()[0], &context).await.unwrap();
    // Handles that were taken before have the layers too.
    let (device, switch) = (opened.device(), opened.switch().unwrap());
    let own = Witness {
        name: "device",
        refuses: Some(Operation::Apply),
        seen: Arc::clone(&registry_layer),
    };
    opened.call_guard().install(Arc::new(own));
    let noted = || std::mem::take(&mut *registry_layer.lock().unwrap());
    device.health().await.unwrap();
    let expected = [
        "device before health",
        "registry before health",
        "registry returned health",
        "device returned health",
    ];
    assert_eq!(noted(), expected);
    // What the outer layer refuses, the inner one does not see, and the device does not get.
    let plan = switch.plan().connect(1, 17).build().await.unwrap();
    noted();
    let error = switch.apply(&plan).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect(), error.operation()),
        (ErrorKind::NotReady, Effect::None, Some("apply")),
        "{error}"
    );
    assert!(error.device().is_some_and(|d| d.starts_with("polatis")));
    assert_eq!(noted(), ["device before apply"]);
    // The check is innermost: the layers see what it refuses.
    let error = device.parameter("none").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(noted().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn layers_learn_that_a_future_was_dropped_and_that_an_inner_layer_refused() {
    let memory = memory("polatis-16x16");
    let opened = open(&memory, 0).await;
    let seen = witnesses(
        &opened,
        &[("inner", Some(Operation::Telemetry)), ("outer", None)],
    );
    let noted = || std::mem::take(&mut *seen.lock().unwrap());
    let device = opened.device();
    {
        let mut call = device.health();
        assert!(futures::poll!(&mut call).is_pending());
    }
    let expected = [
        "outer before health",
        "inner before health",
        "inner abandoned health",
        "outer abandoned health",
    ];
    assert_eq!(noted(), expected);
    device.telemetry().await.unwrap_err();
    let expected = [
        "outer before telemetry",
        "inner before telemetry",
        "outer failed telemetry",
    ];
    assert_eq!(noted(), expected);
}
