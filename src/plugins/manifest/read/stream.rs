//! Streams of a manifest.

use std::ops::Range;
use std::time::Duration;

use contracts::Lane;
use spine::ports::Mode;
use toml::Spanned;

use super::super::error::hint;
use super::super::raw::RawStream;
use super::super::{Code, Manifest, StreamSpec};
use super::{Read, Reader};

const EVERY_MINUTES: Range<u32> = 1..31 * 24 * 60 + 1;
const RECONCILE_HOURS: Range<u32> = 1..366 * 24 + 1;
const MODES: [&str; 4] = ["full", "incremental", "reconcile", "push"];

impl Reader<'_> {
    pub(super) fn streams(&self, manifest: &mut Manifest, raw: Vec<RawStream>) -> Read<()> {
        for stream in &raw {
            let stream = self.stream(manifest, stream)?;
            manifest.streams.push(stream);
        }
        self.unique(
            "stream",
            manifest.streams.iter().map(|stream| stream.name.as_str()),
        )?;
        for stream in &raw {
            let Some(finder) = &stream.found_by else { continue };
            match manifest.stream(finder.get_ref()) {
                Some(found) if found.found_by.is_none() && found.name != *stream.name.get_ref() => {}
                Some(_) => {
                    return self.refuse(
                        finder,
                        "a stream is found by another one that is there from the start",
                    );
                }
                None => {
                    let hint = hint(
                        finder.get_ref(),
                        manifest.streams.iter().map(|one| one.name.as_str()),
                    );
                    return self.refuse(finder, format!("there is no stream `{}`{hint}", finder.get_ref()));
                }
            }
        }
        Ok(())
    }

    fn stream(&self, manifest: &Manifest, raw: &RawStream) -> Read<StreamSpec> {
        self.name(&raw.name)?;
        let own = raw.function.as_ref().or(raw.again.as_ref());
        match (&manifest.code, own) {
            (Code::Script(_), _) if raw.function.is_none() => {
                return self.refuse(
                    &raw.name,
                    "a stream names the `function` of the script that reads a page",
                );
            }
            (Code::BuiltIn(_), Some(function)) => {
                return self.refuse(function, "a built-in connector has no functions of its own");
            }
            _ => {}
        }
        let (modes, pushed, reconciled) = self.modes(&raw.modes)?;
        let every = self.length(&raw.every_minutes, EVERY_MINUTES, 60, "1 to 44640 minutes")?;
        let reconcile_every = self.length(
            &raw.reconcile_every_hours,
            RECONCILE_HOURS,
            3600,
            "1 to 8784 hours",
        )?;
        if let Some(hours) = &raw.reconcile_every_hours
            && !reconciled
        {
            return self.refuse(
                hours,
                "`modes` does not name \"reconcile\", so nothing is read again",
            );
        }
        let lane = match raw.lane.as_ref().map(|lane| (lane, lane.get_ref().as_str())) {
            None | Some((_, "live")) => Lane::Live,
            Some((_, "backfill")) => Lane::Backfill,
            Some((place, other)) => {
                let hint = hint(other, ["live", "backfill"]);
                return self.refuse(place, format!("unknown lane `{other}`{hint}"));
            }
        };
        Ok(StreamSpec {
            name: raw.name.get_ref().clone(),
            description: raw.description.clone(),
            function: raw.function.as_ref().map(|function| function.get_ref().clone()),
            again: raw.again.as_ref().map(|again| again.get_ref().clone()),
            modes,
            pushed,
            every,
            reconcile_every,
            lane,
            found_by: raw.found_by.as_ref().map(|finder| finder.get_ref().clone()),
        })
    }

    fn modes(&self, raw: &Spanned<Vec<Spanned<String>>>) -> Read<(Vec<Mode>, bool, bool)> {
        let (mut modes, mut pushed) = (Vec::new(), false);
        for mode in raw.get_ref() {
            match (mode.get_ref().as_str(), Mode::from_name(mode.get_ref())) {
                ("push", _) => pushed = true,
                (_, Some(known)) => modes.push(known),
                (other, None) => {
                    let hint = hint(other, MODES);
                    return self.refuse(mode, format!("unknown mode `{other}`{hint}"));
                }
            }
        }
        if !modes.contains(&Mode::Full) {
            return self.refuse(
                raw,
                "every stream can be read from its beginning: `modes` names \"full\"",
            );
        }
        let reconciled = modes.contains(&Mode::Reconcile);
        if reconciled && !modes.contains(&Mode::Incremental) {
            return self.refuse(
                raw,
                "\"reconcile\" is for streams that are read in increments otherwise",
            );
        }
        Ok((modes, pushed, reconciled))
    }

    fn length(
        &self,
        number: &Option<Spanned<u32>>,
        range: Range<u32>,
        seconds: u64,
        allowed: &str,
    ) -> Read<Option<Duration>> {
        match number {
            Some(number) if !range.contains(number.get_ref()) => {
                self.refuse(number, format!("this is {allowed}"))
            }
            Some(number) => Ok(Some(Duration::from_secs(u64::from(*number.get_ref()) * seconds))),
            None => Ok(None),
        }
    }
}
