//! A switch as a picture: the matrix with its paths and powers, the position of a 1×N switch.

use crate::output::dbm;
use qkd_switch_hal::{CrossConnects, Geometry, Port, PortState, PortStatus};
use std::{collections::BTreeMap, fmt::Write};

/// The widest matrix that is drawn; of a larger one, the paths are listed.
const MAX_DRAWN_PORTS: u32 = 32;

/// The picture of the present paths.
pub(super) fn draw(geometry: Geometry, paths: &CrossConnects, ports: &[PortStatus]) -> String {
    let ports: BTreeMap<Port, &PortStatus> = ports.iter().map(|p| (p.port, p)).collect();
    match geometry {
        Geometry::Matrix { ingress, egress }
            if ingress <= MAX_DRAWN_PORTS && egress <= MAX_DRAWN_PORTS =>
        {
            matrix(ingress, egress, paths, &ports)
        }
        Geometry::OneByN { channels, dark } => one_by_n(channels, dark, paths),
        Geometry::Crossbar => crossbar(paths),
        _ => list(paths, &ports),
    }
}

/// Returns a mark for a port that cannot be used; `None` if it is only not connected.
fn out_of_use(port: Option<&&PortStatus>) -> Option<char> {
    match port?.state {
        PortState::Disabled => Some('x'),
        PortState::Failed => Some('!'),
        _ => None,
    }
}

/// Draws a matrix: rows are ingress ports, columns egress ports; each row ends with its path and
/// the measured powers.
fn matrix(
    ingress: u32,
    egress: u32,
    paths: &CrossConnects,
    ports: &BTreeMap<Port, &PortStatus>,
) -> String {
    let mut text = String::from("      ");
    let columns = ingress + 1..=ingress + egress;
    for e in columns.clone() {
        let _ = write!(text, "{e:>4}");
    }
    text.push('\n');
    for i in (1..=ingress).map(Port) {
        let _ = write!(text, "{:>4}  ", i.0);
        for e in columns.clone().map(Port) {
            let mark = if paths.peer(i) == Some(e) {
                'O'
            } else {
                out_of_use(ports.get(&i))
                    .or_else(|| out_of_use(ports.get(&e)))
                    .unwrap_or('.')
            };
            let _ = write!(text, "{mark:>4}");
        }
        if let Some(e) = paths.peer(i) {
            let power = |p: Port| ports.get(&p).and_then(|s| s.power);
            let into = power(i).map_or_else(String::new, |p| format!("  in {}", dbm(p)));
            let out = power(e).map_or_else(String::new, |p| format!("  out {}", dbm(p)));
            let _ = write!(text, "   {i}-{e}{into}{out}");
        }
        text.push('\n');
    }
    if ports
        .values()
        .any(|p| matches!(p.state, PortState::Disabled | PortState::Failed))
    {
        text.push_str("      O path   x disabled   ! failed\n");
    }
    text
}

fn one_by_n(channels: u32, dark: bool, paths: &CrossConnects) -> String {
    let now = paths.peer(Port::COMMON).map_or(0, |p| p.0);
    let mut text = String::from("  common - ");
    for channel in u32::from(!dark)..=channels {
        let word = if channel == 0 {
            "dark".to_owned()
        } else {
            channel.to_string()
        };
        let _ = if channel == now {
            write!(text, "[{word}] ")
        } else {
            write!(text, " {word}  ")
        };
    }
    format!("{}\n", text.trim_end())
}

fn crossbar(paths: &CrossConnects) -> String {
    match paths.peer(Port(1)) {
        Some(Port(3)) => "  1 ------- 3\n            bar\n  2 ------- 4\n".to_owned(),
        Some(Port(4)) => "  1 --. ,-- 3\n       X    cross\n  2 --' `-- 4\n".to_owned(),
        _ => list(paths, &BTreeMap::new()),
    }
}

fn list(paths: &CrossConnects, ports: &BTreeMap<Port, &PortStatus>) -> String {
    let mut text = String::new();
    for path in paths.iter() {
        let powers = path
            .ports()
            .iter()
            .filter_map(|p| {
                ports
                    .get(p)?
                    .power
                    .map(|power| format!("  {p}: {}", dbm(power)))
            })
            .collect::<String>();
        let _ = writeln!(text, "  {path}{powers}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hal::{reading::Measured, units::DecibelMilliwatts};

    fn paths(text: &str) -> CrossConnects {
        text.parse().unwrap()
    }

    #[test]
    fn a_matrix_shows_paths_powers_and_disabled_ports() {
        let lit = PortStatus::new(Port(5), PortState::Enabled, Some(Port(1)))
            .with_power(Measured::now(DecibelMilliwatts(-3.254)));
        let shut = PortStatus::new(Port(2), PortState::Disabled, None);
        let drawn = draw(Geometry::matrix(3, 2), &paths("1-5"), &[lit, shut]);
        let rows: Vec<&str> = drawn.lines().collect();
        assert_eq!(rows[0], "         4   5");
        assert_eq!(rows[1], "   1     .   O   1-5  out -3.25 dBm");
        assert_eq!(rows[2], "   2     x   x");
        assert_eq!(rows[3], "   3     .   .");
        assert!(rows[4].contains("x disabled"));
    }

    #[test]
    fn selectors_and_crossbars_show_their_position() {
        assert_eq!(
            draw(Geometry::one_by(3), &paths("common-2"), &[]),
            "  common -  1  [2]  3\n"
        );
        assert_eq!(
            draw(
                Geometry::OneByN {
                    channels: 2,
                    dark: true
                },
                &paths("dark"),
                &[]
            ),
            "  common - [dark]  1   2\n"
        );
        assert!(draw(Geometry::Crossbar, &paths("1-3,2-4"), &[]).contains("bar"));
        assert!(draw(Geometry::Crossbar, &paths("1-4,2-3"), &[]).contains("cross"));
    }

    #[test]
    fn a_large_matrix_is_a_list() {
        assert_eq!(
            draw(Geometry::matrix(576, 576), &paths("1-577,3-600"), &[]),
            "  1-577\n  3-600\n"
        );
    }
}
