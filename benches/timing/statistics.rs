//! Whether two groups of units, whose calls were measured, differ by more than chance: a randomization test.

use fastrand::Rng;

/// Each unit is told of by these quantiles of its durations: a leak may show in the fast calls alone, or in the slow ones.
const QUANTILES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// How often the units are dealt anew: the smallest probability that can be found is one in this many.
const DEALS: usize = 20_000;

/// The durations of one unit's calls, in microseconds.
pub(crate) type Durations = Vec<f64>;

/// Two groups of units: of each, its quantiles.
pub(crate) struct Groups {
    ours: Vec<[f64; 5]>,
    theirs: Vec<[f64; 5]>,
}

impl Groups {
    pub(crate) fn of(ours: &[Durations], theirs: &[Durations]) -> Self {
        let told = |units: &[Durations]| units.iter().map(|unit| quantiles(unit)).collect();
        Self { ours: told(ours), theirs: told(theirs) }
    }

    /// How much slower the second group is: the difference of the groups' means of the units' medians.
    pub(crate) fn apart(&self) -> f64 {
        mean(self.theirs.iter().map(median_of)) - mean(self.ours.iter().map(median_of))
    }

    pub(crate) fn medians(&self) -> (f64, f64) {
        (mean(self.ours.iter().map(median_of)), mean(self.theirs.iter().map(median_of)))
    }

    /// How probable a difference as large as this one is if it makes no difference which group a unit is in: the units are
    /// dealt into two groups at random, again and again, and each time the groups are compared at the quantile at which they
    /// are furthest apart. Nothing is assumed of how durations are distributed.
    pub(crate) fn chance(&self, random: &mut Rng) -> f64 {
        let mut units: Vec<[f64; 5]> = self.ours.iter().chain(&self.theirs).copied().collect();
        let (count, total) = (self.ours.len(), sums(&units));
        let scale = spread(&units);
        let found = furthest(&sums(&self.ours), &total, count, units.len(), &scale);
        let mut as_large = 1;
        for _ in 0..DEALS {
            random.shuffle(&mut units);
            let dealt = sums(units.get(..count).unwrap_or_default());
            as_large += usize::from(furthest(&dealt, &total, count, units.len(), &scale) >= found);
        }
        float(as_large) / float(DEALS + 1)
    }

    /// The smallest of these shifts, in microseconds, that would have been found between two such groups; none: not even
    /// the greatest.
    pub(crate) fn finds(&self, alarm: f64, random: &mut Rng) -> Option<f64> {
        // Without their own differences, if they have any.
        let mean_of = |group: &[[f64; 5]]| sums(group).map(|sum| sum / float(group.len()));
        let apart = each(&mean_of(&self.theirs), &mean_of(&self.ours), |theirs, ours| theirs - ours);
        [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0].into_iter().find(|shift| {
            let shifted = |unit: &[f64; 5]| each(unit, &apart, |value, apart| value - apart + shift);
            let theirs = self.theirs.iter().map(shifted).collect();
            Self { ours: self.ours.clone(), theirs }.chance(random) < alarm
        })
    }
}

fn quantiles(unit: &[f64]) -> [f64; 5] {
    let mut sorted = unit.to_vec();
    sorted.sort_by(f64::total_cmp);
    QUANTILES.map(|fraction| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a sample")]
        let at = (float(sorted.len()) * fraction) as usize;
        sorted.get(at).copied().unwrap_or_default()
    })
}

fn median_of(unit: &[f64; 5]) -> f64 {
    let [_, _, median, _, _] = unit;
    *median
}

/// The sum of each quantile.
fn sums(units: &[[f64; 5]]) -> [f64; 5] {
    units.iter().fold([0.0; 5], |sums, unit| each(&sums, unit, |sum, value| sum + value))
}

/// The standard deviation of each quantile, over all units: the same however they are dealt.
fn spread(units: &[[f64; 5]]) -> [f64; 5] {
    let means = sums(units).map(|sum| sum / float(units.len()));
    let squares = units.iter().fold([0.0; 5], |squares, unit| {
        let apart = each(unit, &means, |value, mean| (value - mean).powi(2));
        each(&squares, &apart, |sum, square| sum + square)
    });
    squares.map(|square| (square / float(units.len())).sqrt())
}

/// The greatest difference of the two groups' means, in standard deviations.
fn furthest(ours: &[f64; 5], total: &[f64; 5], count: usize, units: usize, scale: &[f64; 5]) -> f64 {
    let apart = each(ours, total, |ours, total| {
        (ours / float(count) - (total - ours) / float(units.saturating_sub(count))).abs()
    });
    let scaled = each(&apart, scale, |apart, scale| if scale > 0.0 { apart / scale } else { 0.0 });
    scaled.into_iter().fold(0.0, f64::max)
}

fn each(one: &[f64; 5], other: &[f64; 5], of: impl Fn(f64, f64) -> f64) -> [f64; 5] {
    let mut values = other.iter();
    one.map(|value| of(value, values.next().copied().unwrap_or_default()))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = float(values.len());
    values.sum::<f64>() / count
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn float(count: usize) -> f64 {
    count as f64
}
