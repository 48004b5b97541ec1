//! Any bytes as what comes over the sync socket, and as a plan: `Reader` must give up, never panic, and never read further than
//! there is.
#![no_main]

use dunnage_steps::wire::{Get, Reader};
use dunnage_steps::{Barrier, Borrowed, Call, Message, Step};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((message, text)) = Message::from_bytes(bytes) {
        assert_eq!(text, &bytes[Message::SIZE..]);
        let again = message.to_bytes();
        assert_eq!(Message::from_bytes(&again), Some((message, &[][..])));
    }
    let mut numbers = Reader::new(bytes);
    while let Some(n) = u32::get(&mut numbers) {
        assert!(Barrier::from_u32(n).is_none_or(|b| b as u32 == n));
        assert!(Call::from_u32(n).is_none_or(|c| c as u32 == n));
    }
    let mut plan = Reader::new(bytes);
    while let Some(step) = Step::<Borrowed<'_>>::get(&mut plan) {
        match step {
            Step::Exec { args, env, .. } | Step::Hook { args, env, .. } => {
                assert_eq!(args.count(), args.len());
                assert_eq!(env.count(), env.len());
            }
            Step::Ids { groups, .. } => assert_eq!(groups.iter().count(), groups.len()),
            Step::Seccomp { filter, .. } => assert_eq!(filter.bytes().len(), filter.len() * 8),
            _ => (),
        }
    }
});
