//! Scratch.
#[expect(clippy::print_stdout, reason = "scratch")]
fn main() {
    for seed in 0..200 {
        let mut trace = sim::trace::Trace::new(sim::trace::Keep::Hash);
        let r = sim::world::run(&sim::plan::Plan::of(seed, 200), None, &mut trace);
        println!(
            "{seed} {:x} {} {} {:?}",
            trace.hash(),
            r.steps,
            r.events,
            r.violation.map(|v| v.invariant)
        );
    }
}
