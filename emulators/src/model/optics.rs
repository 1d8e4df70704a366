//! Fibre, detectors and decoy-state BB84, from published formulas.
//!
//! - Key rate: Lo, Ma, Chen, PRL 94, 230504 (2005); Ma, Qi, Zhao, Lo, PRA 72, 012326 (2005),
//!   "MQZL": asymptotic, infinitely many decoy states, or weak and vacuum. The default system is
//!   that of Gobby, Yuan, Shields (GYS), as in MQZL.
//! - Upper bound: Pirandola, Laurenza, Ottaviani, Banchi, Nat. Commun. 8, 15043 (2017), "PLOB".
//! - Raman noise of classical channels in the same fibre: forward `P0 ρ Δλ (e^{-αc L} - e^{-αq L})
//!   / (αq - αc)`, backward `P0 ρ Δλ (1 - e^{-(αc+αq) L}) / (αc + αq)`.

use qkd_hal::units::{DecibelMilliwatts, Decibels};

/// Planck's constant times the speed of light, J·m.
const HC: f64 = 6.626_070_15e-34 * 299_792_458.0;
/// Conversion factor from dB/km to 1/km.
const PER_DB: f64 = std::f64::consts::LN_10 / 10.0;

/// Returns the binary entropy of `x`, 0 to 1.
#[must_use]
pub fn entropy(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        0.0
    } else {
        -x * x.log2() - (1.0 - x) * (1.0 - x).log2()
    }
}

/// Returns the upper bound of the secret bits per use of a channel with this transmittance (PLOB
/// bound).
#[must_use]
pub fn plob(transmittance: f64) -> f64 {
    if transmittance >= 1.0 {
        f64::INFINITY
    } else {
        -(-transmittance.max(0.0)).ln_1p() / std::f64::consts::LN_2
    }
}

/// A decoy-state BB84 system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bb84 {
    /// Pulse rate, in pulses per second.
    pub clock: f64,
    /// Mean photon number of the signal.
    pub mu: f64,
    /// Mean photon number of the weak decoy; `None`: infinitely many decoy states.
    pub nu: Option<f64>,
    /// Background clicks per gate, both detectors.
    pub y0: f64,
    /// Efficiency of the receiver.
    pub eta: f64,
    /// Error of the optics.
    pub e_det: f64,
    /// Efficiency of the error correction.
    pub f: f64,
    /// Part of the gates that count after sifting.
    pub q: f64,
    /// Length of a gate, in seconds: noise photons outside it do no harm.
    pub gate: f64,
}

impl Bb84 {
    /// GYS (2004), with the intensities of MQZL, at 2 MHz.
    pub const GYS: Self = Self {
        clock: 2e6,
        mu: 0.48,
        nu: None,
        y0: 1.7e-6,
        eta: 0.045,
        e_det: 0.033,
        f: 1.22,
        q: 0.5,
        gate: 1e-9,
    };
    /// A modern 1 GHz system with gated detectors.
    pub const GIGAHERTZ: Self = Self {
        clock: 1e9,
        mu: 0.48,
        nu: Some(0.05),
        y0: 1.2e-6,
        eta: 0.2,
        e_det: 0.01,
        f: 1.16,
        q: 0.5,
        gate: 1e-9,
    };
}

/// Rates of a system over a channel.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Clicks per signal pulse, `Qμ`.
    pub gain: f64,
    /// Their error rate, `Eμ`: the QBER.
    pub qber: f64,
    /// Yield of single photons, `Y1`.
    pub y1: f64,
    /// Error rate of single photons, `e1`.
    pub e1: f64,
    /// Secret bits per emitted pulse.
    pub per_pulse: f64,
}

/// Error rate of background clicks.
const E0: f64 = 0.5;

impl Bb84 {
    /// Returns the asymptotic rates over a channel of this transmittance, with `noise_per_gate`
    /// noise photons per gate at the receiver.
    #[must_use]
    pub fn rates(&self, transmittance: f64, noise_per_gate: f64) -> Rates {
        let eta = transmittance.clamp(0.0, 1.0) * self.eta;
        let y0 = (self.y0 + noise_per_gate.max(0.0) * self.eta).min(1.0);
        let gain = |mu: f64| y0 + 1.0 - (-eta * mu).exp();
        let errors = |mu: f64| E0 * y0 + self.e_det * (1.0 - (-eta * mu).exp());
        let q_mu = gain(self.mu).min(1.0);
        let qber = if q_mu > 0.0 {
            errors(self.mu) / q_mu
        } else {
            E0
        };
        let (y1, e1) = match self.nu {
            None => (y0 + eta, (E0 * y0 + self.e_det * eta) / (y0 + eta)),
            Some(nu) => {
                let mu = self.mu;
                let y1 = mu / (mu * nu - nu * nu)
                    * (gain(nu) * nu.exp()
                        - q_mu * mu.exp() * nu * nu / (mu * mu)
                        - (mu * mu - nu * nu) / (mu * mu) * y0);
                (y1, (errors(nu) * nu.exp() - E0 * y0) / (y1 * nu))
            }
        };
        let q1 = y1.max(0.0) * self.mu * (-self.mu).exp();
        let private = if (0.0..0.5).contains(&e1) {
            1.0 - entropy(e1)
        } else {
            0.0
        };
        let per_pulse = (self.q * (q1 * private - q_mu * self.f * entropy(qber.min(0.5)))).max(0.0);
        Rates {
            gain: q_mu,
            qber,
            y1,
            e1,
            per_pulse,
        }
    }
}

/// Light of a classical channel in the same fibre, in the same direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicalChannel {
    /// Launch power, in dBm.
    pub launch: DecibelMilliwatts,
    /// Raman coefficient, in 1/(km·nm). 3e-9 within the C band, 2.4e-12 from 1550 to 1310 nm, each
    /// within a factor of two.
    pub rho: f64,
}

/// A fibre with what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fibre {
    /// Length of the fibre, in km.
    pub length: f64,
    /// Attenuation at the quantum channel, dB/km.
    pub alpha: f64,
    /// Loss of connectors and switches.
    pub excess: Decibels,
    /// Wavelength of the quantum channel, nm.
    pub wavelength: f64,
    /// Width of the receiver's filter, nm.
    pub filter: f64,
    /// Classical channels in the same fibre.
    pub classical: Vec<ClassicalChannel>,
    /// Stray light at the receiver, within its filter.
    pub stray: Option<DecibelMilliwatts>,
}

impl Fibre {
    /// Creates standard fibre of this length, in km, with a quantum channel at 1547.7 nm, a filter
    /// of 0.8 nm and no other channel.
    #[must_use]
    pub fn with_length(length: f64) -> Self {
        Self {
            length,
            alpha: 0.2,
            excess: Decibels(0.0),
            wavelength: 1547.7,
            filter: 0.8,
            classical: Vec::new(),
            stray: None,
        }
    }
    /// Loss from end to end.
    #[must_use]
    pub fn loss(&self) -> Decibels {
        Decibels(self.length * self.alpha + self.excess.0)
    }
    /// Noise at the receiver, in photons per second.
    #[must_use]
    pub fn noise(&self) -> f64 {
        let raman: f64 = self
            .classical
            .iter()
            .map(|c| {
                raman_forward(
                    c.launch.to_watts(),
                    c.rho,
                    self.filter,
                    self.length,
                    self.alpha,
                    self.alpha,
                )
            })
            .sum();
        let stray = self.stray.map_or(0.0, DecibelMilliwatts::to_watts);
        (raman * self.excess.transmittance().0 + stray) * self.wavelength * 1e-9 / HC
    }
}

/// Returns the Raman noise at the far end, in watts; attenuations of the classical and the quantum
/// channel in dB/km.
#[must_use]
pub fn raman_forward(
    launch: f64,
    rho: f64,
    filter: f64,
    length: f64,
    classical: f64,
    quantum: f64,
) -> f64 {
    let (c, q) = (classical * PER_DB, quantum * PER_DB);
    let scattered = if (q - c).abs() < 1e-9 {
        length * (-q * length).exp()
    } else {
        ((-c * length).exp() - (-q * length).exp()) / (q - c)
    };
    launch * rho * filter * scattered
}

/// Raman noise at the near end, in watts.
#[must_use]
pub fn raman_backward(
    launch: f64,
    rho: f64,
    filter: f64,
    length: f64,
    classical: f64,
    quantum: f64,
) -> f64 {
    let sum = (classical + quantum) * PER_DB;
    launch * rho * filter * (1.0 - (-sum * length).exp()) / sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(got: f64, want: f64, relative: f64) {
        assert!(
            (got - want).abs() <= want.abs() * relative,
            "{got} is not {want}"
        );
    }

    #[test]
    fn decoy_bb84_gives_the_published_system() {
        // L, Qμ, Eμ, Y1, e1, R with infinitely many decoys, R with weak (0.05) and vacuum.
        for (l, q, e, y1, e1, r, weak) in [
            (
                0.0,
                2.137_009e-2,
                0.033_037,
                4.500_170e-2,
                0.033_018,
                2.554_588e-3,
                2.414_245e-3,
            ),
            (
                25.0,
                6.429_380e-3,
                0.033_123,
                1.343_592e-2,
                0.033_059,
                7.543_964e-4,
                7.113_164e-4,
            ),
            (
                50.0,
                1.924_950e-3,
                0.033_412,
                4.012_329e-3,
                0.033_198,
                2.225_961e-4,
                2.096_250e-4,
            ),
            (
                100.0,
                1.732_602e-4,
                0.037_582,
                3.591_477e-4,
                0.035_211,
                1.718_444e-5,
                1.602_005e-5,
            ),
            (
                120.0,
                6.692_883e-5,
                0.044_862,
                1.375_978e-4,
                0.038_770,
                4.814_562e-6,
                4.368_615e-6,
            ),
            (
                140.0,
                2.649_981e-5,
                0.062_959,
                5.336_691e-5,
                0.047_876,
                2.464_667e-7,
                7.377_906e-8,
            ),
        ] {
            let t = Decibels(0.21 * l).transmittance().0;
            let rates = Bb84::GYS.rates(t, 0.0);
            close(rates.gain, q, 1e-6);
            close(rates.qber, e, 2e-5);
            close(rates.y1, y1, 1e-6);
            close(rates.e1, e1, 2e-5);
            close(rates.per_pulse, r, 1e-6);
            close(
                Bb84 {
                    nu: Some(0.05),
                    ..Bb84::GYS
                }
                .rates(t, 0.0)
                .per_pulse,
                weak,
                1e-6,
            );
        }
    }

    #[test]
    fn the_ceiling() {
        for (db, k) in [
            (1.0, 2.281_584),
            (3.0, 1.003_430),
            (10.0, 0.152_003_1),
            (20.0, 1.449_957e-2),
            (40.0, 1.442_767e-4),
        ] {
            close(plob(Decibels(db).transmittance().0), k, 1e-6);
        }
        assert_eq!(plob(1.0), f64::INFINITY);
    }

    #[test]
    fn raman_noise() {
        close(
            raman_forward(1e-3, 3e-9, 0.8, 25.0, 0.2, 0.2),
            1.8974e-11,
            1e-4,
        );
        close(
            raman_backward(1e-3, 3e-9, 0.8, 25.0, 0.2, 0.2),
            2.3452e-11,
            1e-4,
        );
        close(
            raman_forward(1e-3, 2.421e-12, 0.8, 25.0, 0.2, 0.33),
            1.0781e-14,
            1e-3,
        );
        for (l, w) in [
            (1.0, 2.2920e-12),
            (10.0, 1.5143e-11),
            (50.0, 1.2000e-11),
            (100.0, 2.4000e-12),
        ] {
            close(raman_forward(1e-3, 3e-9, 0.8, l, 0.2, 0.2), w, 1e-4);
        }
        let fibre = Fibre {
            classical: vec![ClassicalChannel {
                launch: DecibelMilliwatts(0.0),
                rho: 3e-9,
            }],
            ..Fibre::with_length(25.0)
        };
        close(fibre.noise(), 1.4783e8, 1e-4);
    }

    #[test]
    fn classical_light_ends_the_key() {
        // GYS over 25 km at 0.21 dB/km: QBER and rate for launch powers per channel.
        for (dbm, qber, rate) in [
            (-30.0, 0.0336, 7.43e-4),
            (-20.0, 0.0379, 6.41e-4),
            (-10.0, 0.0769, 0.0),
            (0.0, 0.271, 0.0),
        ] {
            let fibre = Fibre {
                classical: vec![ClassicalChannel {
                    launch: DecibelMilliwatts(dbm),
                    rho: 3e-9,
                }],
                ..Fibre::with_length(25.0)
            };
            let rates = Bb84::GYS.rates(
                Decibels(0.21 * 25.0).transmittance().0,
                fibre.noise() * 1e-9,
            );
            close(rates.qber, qber, 0.01);
            if rate == 0.0 {
                assert_eq!(rates.per_pulse, 0.0)
            } else {
                close(rates.per_pulse, rate, 0.01)
            }
        }
    }

    proptest! {
        #[test]
        fn the_key_rate_stays_below_the_bound_and_falls_with_loss(loss in 0.0..60.0f64, more in 0.0..20.0f64, noise in 0.0..1e-3f64, weak in any::<bool>()) {
            for system in [Bb84::GYS, Bb84::GIGAHERTZ] {
                let system = if weak { Bb84 { nu: Some(0.05), ..system } } else { system };
                let t = Decibels(loss).transmittance().0;
                let rate = system.rates(t, noise).per_pulse;
                prop_assert!(rate >= 0.0 && rate <= plob(t));
                prop_assert!(system.rates(Decibels(loss + more).transmittance().0, noise).per_pulse <= rate + 1e-15);
                prop_assert!(system.rates(t, noise * 2.0).per_pulse <= rate + 1e-15);
                prop_assert!((0.0..=1.0).contains(&system.rates(t, noise).qber));
            }
        }
    }
}
