//! A mutator of JSON documents: most changes give a document again, with keys and values that the specification has. Every
//! third is of the bytes, as without it.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};

/// Keys and strings that mean something, as the dictionaries have them: a JSON string in a quoted string.
fn words() -> impl Iterator<Item = String> + Clone {
    let lines = include_str!("../dict/json.dict").lines();
    lines.filter_map(|line| serde_json::from_str(&serde_json::from_str::<String>(line).ok()?).ok())
}

const NUMBERS: [i128; 20] = [
    0,
    1,
    -1,
    2,
    7,
    10,
    100,
    127,
    1000,
    1024,
    4095,
    65535,
    65536,
    100_000,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as i128,
    i64::MIN as i128,
    u64::MAX as i128,
];

/// For `fuzz_mutator!`.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(seed.into());
    if !random.one_in(3)
        && let Ok(mut document) = serde_json::from_slice::<Value>(&data[..size])
    {
        let whole = document.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(count(&document));
            change(nth(&mut document, &mut { at }).expect("counted"), &whole, &mut random);
        }
        let text = document.to_string();
        if text.len() <= max_size {
            data[..text.len()].copy_from_slice(text.as_bytes());
            return text.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
}

fn change(value: &mut Value, whole: &Value, random: &mut Random) {
    let kind = random.below(8);
    match (value, kind) {
        (value, 0) => *value = arbitrary(random),
        (value, 1) => {
            let at = random.below(count(whole));
            *value = nth(&mut whole.clone(), &mut { at }).expect("counted").clone();
        }
        (Value::Object(map), 2..=4) => {
            map.insert(random.word(), arbitrary(random));
        }
        (Value::Object(map), _) => {
            let Some(key) = map.keys().nth(random.below(map.len().max(1))).cloned() else { return };
            let old = map.remove(&key).expect("it is there");
            if kind == 5 {
                map.insert(random.word(), old);
            }
        }
        (Value::Array(list), 2..=5) => {
            let new = match list.len() {
                n if n > 0 && kind != 2 => list[random.below(n)].clone(),
                _ => arbitrary(random),
            };
            list.insert(random.below(list.len() + 1), new);
        }
        (Value::Array(list), _) => {
            if !list.is_empty() {
                list.remove(random.below(list.len()));
            }
        }
        (Value::String(text), 2..=4) => *text = random.word(),
        (Value::String(text), _) => {
            let mut bytes = text.clone().into_bytes();
            let size = bytes.len();
            bytes.resize(size + 16, 0);
            let size = fuzzer_mutate(&mut bytes, size, size + 16);
            *text = String::from_utf8_lossy(&bytes[..size]).into_owned();
        }
        (value, _) => *value = number(random),
    }
}

fn arbitrary(random: &mut Random) -> Value {
    match random.below(7) {
        0 => Value::Null,
        1 => random.one_in(2).into(),
        2 => Value::Array(vec![random.word().into()]),
        3 => Value::Object(Map::from_iter([(random.word(), number(random))])),
        4 => number(random),
        _ => random.word().into(),
    }
}

fn number(random: &mut Random) -> Value {
    let number = NUMBERS[random.below(NUMBERS.len())] + [0, 0, 1, -1][random.below(4)];
    serde_json::from_str(&number.to_string()).expect("a number")
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The value at a place in the order of the text.
fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|v| nth(v, at)),
        Value::Object(map) => map.values_mut().find_map(|v| nth(v, at)),
        _ => None,
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn word(&mut self) -> String {
        thread_local!(static WORDS: Vec<String> = words().collect());
        WORDS.with(|words| words[self.below(words.len())].clone())
    }
}
