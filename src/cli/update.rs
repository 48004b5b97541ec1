//! `update`: flags, or a file -> [`crate::update`].

use std::path::{Path, PathBuf};

use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, id, open};
use crate::error::{Error, Result};
use crate::log;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources, parse, text};
use crate::update::{self, Request};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "update",
    about: "change the resource limits of a container",
    usage: "ID",
    description: "\
Changes limits of the container ID, which is created, running or paused. What is not given stays as it is. If one of the
limits cannot be set, none is.

With `--resources` the limits are the object `linux.resources` of config.json, and the other flags do not count. Device
rules are never changed, nor what an update cannot change: hugepageLimits, network, rdma, swappiness, disableOOMKiller.

Sizes are bytes, or a number with one of the units b, k, m, g, t, p (powers of 1024).",
    min: 1,
    max: Some(1),
    stops_at_first: false,
    flags: &[
        RESOURCES,
        BLKIO_WEIGHT,
        CPU_PERIOD,
        CPU_QUOTA,
        CPU_BURST,
        CPU_SHARE,
        CPU_RT_PERIOD,
        CPU_RT_RUNTIME,
        CPU_IDLE,
        CPUSET_CPUS,
        CPUSET_MEMS,
        KERNEL_MEMORY,
        KERNEL_MEMORY_TCP,
        MEMORY,
        MEMORY_RESERVATION,
        MEMORY_SWAP,
        PIDS_LIMIT,
        L3_CACHE_SCHEMA,
        MEM_BW_SCHEMA,
    ],
    read: |m| Command::Update(Box::new(UpdateArgs::read(m))),
};

const RESOURCES: Flag =
    Flag::new("resources", Takes::Path("FILE"), "file with the resources as JSON; - is the standard input").short('r');
const BLKIO_WEIGHT: Flag = Flag::new("blkio-weight", Takes::Int("N"), "weight of block I/O: 10 to 1000");
const CPU_PERIOD: Flag = Flag::new("cpu-period", Takes::Text("USEC"), "period in which --cpu-quota counts");
const CPU_QUOTA: Flag = Flag::new("cpu-quota", Takes::Text("USEC"), "CPU time per period; -1: unlimited");
const CPU_BURST: Flag = Flag::new("cpu-burst", Takes::Text("USEC"), "CPU time that may be saved up for a burst");
const CPU_SHARE: Flag = Flag::new("cpu-share", Takes::Text("N"), "CPU shares, relative to other containers");
const CPU_RT_PERIOD: Flag = Flag::new("cpu-rt-period", Takes::Text("USEC"), "period in which --cpu-rt-runtime counts");
const CPU_RT_RUNTIME: Flag = Flag::new("cpu-rt-runtime", Takes::Text("USEC"), "realtime CPU time per period");
const CPU_IDLE: Flag = Flag::new("cpu-idle", Takes::Text("N"), "1: run only when nobody else wants to (SCHED_IDLE)");
const CPUSET_CPUS: Flag = Flag::new("cpuset-cpus", Takes::Text("LIST"), "CPUs to use");
const CPUSET_MEMS: Flag = Flag::new("cpuset-mems", Takes::Text("LIST"), "memory nodes to use");
const KERNEL_MEMORY: Flag = Flag::new("kernel-memory", Takes::Text("SIZE"), "ignored").hidden();
const KERNEL_MEMORY_TCP: Flag = Flag::new("kernel-memory-tcp", Takes::Text("SIZE"), "ignored").hidden();
const MEMORY: Flag = Flag::new("memory", Takes::Text("SIZE"), "memory limit; -1: unlimited");
const MEMORY_RESERVATION: Flag = Flag::new("memory-reservation", Takes::Text("SIZE"), "memory soft limit");
const MEMORY_SWAP: Flag =
    Flag::new("memory-swap", Takes::Text("SIZE"), "limit of memory and swap together; -1: unlimited");
const PIDS_LIMIT: Flag = Flag::new("pids-limit", Takes::Int("N"), "greatest number of processes; -1: unlimited");
const L3_CACHE_SCHEMA: Flag = Flag::new("l3-cache-schema", Takes::Text("SCHEMA"), "Intel RDT/CAT: L3 cache schema");
const MEM_BW_SCHEMA: Flag = Flag::new("mem-bw-schema", Takes::Text("SCHEMA"), "Intel RDT/MBA: memory bandwidth schema");

/// Which flag asks for which field.
const FIELDS: &[(&str, Flag)] = &[
    ("/blockIO/weight", BLKIO_WEIGHT),
    ("/cpu/burst", CPU_BURST),
    ("/cpu/cpus", CPUSET_CPUS),
    ("/cpu/idle", CPU_IDLE),
    ("/cpu/mems", CPUSET_MEMS),
    ("/cpu/period", CPU_PERIOD),
    ("/cpu/quota", CPU_QUOTA),
    ("/cpu/realtimePeriod", CPU_RT_PERIOD),
    ("/cpu/realtimeRuntime", CPU_RT_RUNTIME),
    ("/cpu/shares", CPU_SHARE),
    ("/memory/limit", MEMORY),
    ("/memory/reservation", MEMORY_RESERVATION),
    ("/memory/swap", MEMORY_SWAP),
    ("/pids/limit", PIDS_LIMIT),
];

/// `update`. Numbers are looked at only once there is a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateArgs {
    /// The container.
    pub id: String,
    /// `--resources`: this file is used alone.
    pub resources: Option<PathBuf>,
    /// `--blkio-weight`
    pub blkio_weight: Option<i64>,
    /// `--pids-limit`
    pub pids_limit: Option<i64>,
    /// The other limits, by the name of their flag.
    pub texts: Vec<(&'static str, String)>,
}

impl UpdateArgs {
    fn read(m: &Matches) -> UpdateArgs {
        let texts = COMMAND.flags.iter().filter(|flag| matches!(flag.takes, Takes::Text(_)));
        UpdateArgs {
            id: id(m),
            resources: m.path(&RESOURCES).filter(|path| !path.as_os_str().is_empty()),
            blkio_weight: m.int(&BLKIO_WEIGHT),
            pids_limit: m.int(&PIDS_LIMIT),
            texts: texts.filter_map(|flag| Some((flag.long, m.text(flag).filter(|text| !text.is_empty())?))).collect(),
        }
    }

    fn text(&self, flag: &Flag) -> Option<&str> {
        self.texts.iter().find(|(name, _)| *name == flag.long).map(|(_, text)| text.as_str())
    }

    fn parsed<T>(&self, flag: &Flag, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>> {
        let value = self.text(flag).map(parse).transpose();
        value.map_err(|why| Error::new(format!("invalid value for {}: {why}", flag.long)))
    }

    fn resources(&self) -> Result<Resources> {
        let (int, uint) = (parse_number::<i64>("ParseInt"), parse_number::<u64>("ParseUint"));
        let weight = self.blkio_weight.filter(|weight| *weight != 0).map(|weight| {
            let out = |_| Error::new(format!("invalid value for {}: {weight} is out of range", BLKIO_WEIGHT.long));
            u16::try_from(weight).map_err(out)
        });
        for flag in [KERNEL_MEMORY, KERNEL_MEMORY_TCP] {
            if self.parsed(&flag, parse_size)?.is_some_and(|size| size != 0) {
                log::warn("Kernel memory settings are ignored and will be removed");
                break;
            }
        }
        Ok(Resources {
            block_io: Some(BlockIo { weight: weight.transpose()?, ..BlockIo::default() }),
            cpu: Some(Cpu {
                burst: self.parsed(&CPU_BURST, &uint)?,
                period: self.parsed(&CPU_PERIOD, &uint)?,
                realtime_period: self.parsed(&CPU_RT_PERIOD, &uint)?,
                shares: self.parsed(&CPU_SHARE, &uint)?,
                quota: self.parsed(&CPU_QUOTA, &int)?,
                realtime_runtime: self.parsed(&CPU_RT_RUNTIME, &int)?,
                idle: self.parsed(&CPU_IDLE, &int)?,
                cpus: self.text(&CPUSET_CPUS).unwrap_or_default().to_owned(),
                mems: self.text(&CPUSET_MEMS).unwrap_or_default().to_owned(),
            }),
            memory: Some(Memory {
                limit: self.parsed(&MEMORY, parse_size)?,
                swap: self.parsed(&MEMORY_SWAP, parse_size)?,
                reservation: self.parsed(&MEMORY_RESERVATION, parse_size)?,
                ..Memory::default()
            }),
            pids: Some(Pids { limit: self.pids_limit }),
            ..Resources::default()
        })
    }
}

pub(super) fn run(global: &Global, args: &UpdateArgs) -> Result<u8> {
    let container = open(global, &args.id)?;
    let resources = match &args.resources {
        Some(file) => from_file(file)?,
        None => args.resources()?,
    };
    let request = Request {
        resources,
        l3_cache_schema: args.text(&L3_CACHE_SCHEMA).unwrap_or_default().to_owned(),
        mem_bw_schema: args.text(&MEM_BW_SCHEMA).unwrap_or_default().to_owned(),
    };
    let from_flags = args.resources.is_none();
    update::update(&container, request).map_err(|e| e.relocated(|field| as_typed(field, from_flags)))?;
    Ok(0)
}

fn from_file(file: &Path) -> Result<Resources> {
    let json = if file == Path::new("-") {
        crate::files::document_of(std::io::stdin()).map_err(|e| Error::io("read /dev/stdin", &e))?
    } else {
        super::process::read(file)?
    };
    let resources = parse::resources(&json)?;
    if resources.memory.as_ref().is_some_and(|m| [m.kernel, m.kernel_tcp].iter().flatten().any(|size| *size != 0)) {
        log::warn("Kernel memory settings are ignored and will be removed");
    }
    Ok(resources)
}

/// A field of config.json by the name that the user gave it.
fn as_typed(field: &str, from_flags: bool) -> (&'static str, String) {
    let field = field.strip_prefix("/linux/resources").unwrap_or(field);
    match FIELDS.iter().find(|(name, _)| *name == field) {
        Some((_, flag)) if from_flags => ("flag", format!("--{}", flag.long)),
        _ => ("resources", field.to_owned()),
    }
}

/// Go's `strconv.ParseInt` and `ParseUint`.
fn parse_number<T: std::str::FromStr<Err = std::num::ParseIntError>>(
    function: &str,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        text.parse().map_err(|e: std::num::ParseIntError| {
            let why = match e.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("strconv.{function}: parsing {}: {why}", text::quote(text))
        })
    }
}

/// Bytes: a number, which may have a fraction, a space, and a unit such as `m`, `MB` or `MiB`, all of them powers of 1024.
/// -1 is unlimited.
fn parse_size(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let invalid = || format!("invalid size: '{text}'");
    let digits = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' ')).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(digits.saturating_add(1));
    let unit = unit.to_lowercase();
    let factor = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit != "ib" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        "p" => 1_i64 << 50,
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    let number = number.strip_suffix(' ').unwrap_or(number);
    if let Ok(whole) = number.parse::<i64>() {
        // Exactly, where a floating point number ends at 2^53.
        let size = whole.checked_mul(factor).filter(|_| !number.starts_with('-'));
        return size.ok_or_else(invalid);
    }
    let syntax = || format!("strconv.ParseFloat: parsing {}: invalid syntax", text::quote(number));
    let size = number.parse::<f64>().map_err(|_| syntax())? * factor as f64;
    // 2^63 and what is no number.
    if (0.0..9_223_372_036_854_775_808.0).contains(&size) { Ok(size as i64) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_writes_them() {
        for (text, bytes) in [
            ("-1", -1),
            ("0", 0),
            ("10485760", 10_485_760),
            ("10m", 10 << 20),
            ("10M", 10 << 20),
            ("10mb", 10 << 20),
            ("10 MiB", 10 << 20),
            ("10 ", 10),
            ("7b", 7),
            ("1.5k", 1536),
            (".5g", 1 << 29),
            ("1e3", 1000),
            ("+3t", 3 << 40),
            ("3P", 3 << 50),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, why) in [
            ("foo", "invalid size: 'foo'"),
            ("-5", "invalid size: '-5'"),
            ("-1k", "invalid size: '-1k'"),
            ("nan", "invalid size: 'nan'"),
            ("inf", "invalid size: 'inf'"),
            ("9223372036854775808", "invalid size: '9223372036854775808'"),
            ("8192p", "invalid size: '8192p'"),
            ("1e400", "invalid size: '1e400'"),
            ("5x", "invalid suffix: 'x'"),
            ("5kbit", "invalid suffix: 'kbit'"),
            ("5bb", "invalid suffix: 'bb'"),
            ("5ib", "invalid suffix: 'ib'"),
            ("5é", "invalid suffix: 'é'"),
            ("x5", "strconv.ParseFloat: parsing \"x5\": invalid syntax"),
            ("1 5", "strconv.ParseFloat: parsing \"1 5\": invalid syntax"),
        ] {
            assert_eq!(parse_size(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_field_has_the_name_that_was_typed() {
        assert_eq!(as_typed("/linux/resources/memory/swap", true), ("flag", "--memory-swap".into()));
        assert_eq!(as_typed("/linux/resources/memory/swap", false), ("resources", "/memory/swap".into()));
        assert_eq!(as_typed("/linux/resources/unified/a", true), ("resources", "/unified/a".into()));
    }
}
