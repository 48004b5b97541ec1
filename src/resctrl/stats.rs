//! What resctrl says of a class and of the use that is made of it, in the shape that `events` prints. What cannot be read is
//! left out: few processors have all of it, and a group can go away while it is read.

use std::collections::BTreeMap;

use crate::cgroup::stats::{CacheMonitoring, IntelRdt, L3CacheInfo, MemBwInfo, MemoryBandwidthMonitoring};

/// With code and data prioritisation (CDP) the one cache shows as two.
const CACHES: &[&str] = &["L3", "L3CODE", "L3DATA"];
const BANDWIDTH: &[&str] = &["MB"];

/// Of the class with the directory `class`, where resctrl is mounted at `root`. Counted is the group `monitoring`; without
/// one (an empty path) it is the class, and so all that others have in it as well.
pub fn stats(root: &str, class: &str, monitoring: &str) -> IntelRdt {
    let (of_root, of_class) = (lines(root), lines(class));
    let domains = domains(if monitoring.is_empty() { class } else { monitoring });
    IntelRdt {
        l3_cache_info: l3_cache_info(root),
        l3_cache_schema_root: schema(&of_root, CACHES),
        l3_cache_schema: schema(&of_class, CACHES),
        mem_bw_info: mem_bw_info(&format!("{root}/info/MB")),
        mem_bw_schema_root: schema(&of_root, BANDWIDTH),
        mem_bw_schema: schema(&of_class, BANDWIDTH),
        schemata: of_class,
        mbm_stats: counted(&domains, |domain| MemoryBandwidthMonitoring {
            mbm_total_bytes: number(domain, "mbm_total_bytes"),
            mbm_local_bytes: number(domain, "mbm_local_bytes"),
        }),
        cmt_stats: counted(&domains, |domain| CacheMonitoring { llc_occupancy: number(domain, "llc_occupancy") }),
    }
}

fn l3_cache_info(root: &str) -> L3CacheInfo {
    let mut infos = CACHES.iter().map(|cache| {
        let dir = format!("{root}/info/{cache}");
        L3CacheInfo {
            cbm_mask: text(&dir, "cbm_mask").unwrap_or_default(),
            min_cbm_bits: number(&dir, "min_cbm_bits").unwrap_or_default(),
            num_closids: number(&dir, "num_closids").unwrap_or_default(),
        }
    });
    // Code and data have the same.
    infos.find(|info| *info != L3CacheInfo::default()).unwrap_or_default()
}

fn mem_bw_info(dir: &str) -> MemBwInfo {
    let value = |file| number(dir, file).unwrap_or_default();
    MemBwInfo {
        bandwidth_gran: value("bandwidth_gran"),
        delay_linear: value("delay_linear"),
        min_bandwidth: value("min_bandwidth"),
        num_closids: value("num_closids"),
    }
}

/// Those of a group's `schemata`, without the blanks by which the kernel aligns them.
fn lines(group: &str) -> Vec<String> {
    let text = text(group, "schemata").unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// The lines of these resources, as they could be written again.
fn schema(lines: &[String], resources: &[&str]) -> String {
    let of_these = |line: &&str| line.split_once(':').is_some_and(|(name, _)| resources.contains(&name));
    lines.iter().map(String::as_str).filter(of_these).collect::<Vec<_>>().join("\n")
}

/// The directories in which a group is counted for each L3 cache, by the cache's number. There may be others, of other
/// resources; those of NUMA nodes that share a cache are below it, which has their sum.
fn domains(group: &str) -> Vec<String> {
    let dir = format!("{group}/mon_data");
    let number = |name: &str| name.strip_prefix("mon_L3_")?.parse::<u32>().ok();
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let by_number: BTreeMap<_, _> = names.filter_map(|name| Some((number(&name)?, format!("{dir}/{name}")))).collect();
    by_number.into_values().collect()
}

/// One for each domain, also where there is nothing to say, since only their order tells them apart; none if there is nothing
/// to say in any.
fn counted<T: Default + PartialEq>(domains: &[String], read: impl Fn(&str) -> T) -> Vec<T> {
    let counters: Vec<T> = domains.iter().map(|domain| read(domain)).collect();
    if counters.iter().all(|counter| *counter == T::default()) { Vec::new() } else { counters }
}

/// None also for a counter that is `Unavailable`, `Unassigned` or an `Error`.
fn number(dir: &str, file: &str) -> Option<u64> {
    text(dir, file)?.parse().ok()
}

fn text(dir: &str, file: &str) -> Option<String> {
    crate::files::read_to_string(format!("{dir}/{file}")).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resctrl::tests::Mock;
    use serde_json::{Value, json};

    /// What `events` shows of the class `gold`.
    fn shown(mock: &Mock, monitoring: &str) -> Value {
        let below = |group: &str| if group.is_empty() { String::new() } else { format!("{}/{group}", mock.root()) };
        serde_json::to_value(stats(mock.root(), &below("gold"), &below(monitoring))).unwrap()
    }

    fn allocating() -> Mock {
        let mock = Mock::new();
        mock.fill("gold", "    MB:0= 20;1= 70\n  SMBA:0=2048;1=2048\n    L3:0=0007f0;1=00001f\n");
        for (file, text) in [
            ("info/L3/cbm_mask", "7ff\n"),
            ("info/L3/min_cbm_bits", "2\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/MB/delay_linear", "1\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "8\n"),
        ] {
            mock.write(file, text);
        }
        mock
    }

    #[test]
    fn a_class_that_is_counted_has_all_of_it() {
        let mock = allocating();
        for (file, text) in [
            ("gold/mon_data/mon_L3_00/llc_occupancy", "16234000\n"),
            ("gold/mon_data/mon_L3_00/mbm_total_bytes", "18446744073709551615\n"),
            ("gold/mon_data/mon_L3_00/mbm_local_bytes", "3\n"),
            ("gold/mon_data/mon_L3_01/llc_occupancy", "0\n"),
            ("gold/mon_data/mon_L3_01/mbm_total_bytes", "5\n"),
            ("gold/mon_data/mon_L3_01/mbm_local_bytes", "0\n"),
        ] {
            mock.write(file, text);
        }
        let all = json!({
            "l3_cache_info": {"cbm_mask": "7ff", "min_cbm_bits": 2, "num_closids": 16},
            "l3_cache_schema_root": "L3:0=0007ff;1=00001f",
            "l3_cache_schema": "L3:0=0007f0;1=00001f",
            "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
            "mem_bw_schema_root": "MB:0=100;1= 70",
            "mem_bw_schema": "MB:0= 20;1= 70",
            "schemata": ["MB:0= 20;1= 70", "SMBA:0=2048;1=2048", "L3:0=0007f0;1=00001f"],
            "mbm_stats": [
                {"mbm_total_bytes": u64::MAX, "mbm_local_bytes": 3},
                {"mbm_total_bytes": 5, "mbm_local_bytes": 0}
            ],
            "cmt_stats": [{"llc_occupancy": 16_234_000}, {"llc_occupancy": 0}]
        });
        assert_eq!(shown(&mock, ""), all);
    }

    #[test]
    fn a_monitoring_group_is_counted_and_not_its_class() {
        let mock = allocating();
        mock.write("gold/mon_data/mon_L3_00/llc_occupancy", "1000\n");
        mock.write("gold/mon_groups/box/mon_data/mon_L3_00/llc_occupancy", "1\n");
        let of = |monitoring| shown(&mock, monitoring)["cmt_stats"].clone();
        assert_eq!(of(""), json!([{"llc_occupancy": 1000}]));
        assert_eq!(of("gold/mon_groups/box"), json!([{"llc_occupancy": 1}]));
        // Gone: what the class has is not the container's.
        assert_eq!(of("gold/mon_groups/gone"), Value::Null);
        assert_eq!(shown(&mock, "gold/mon_groups/gone")["mem_bw_schema"], "MB:0= 20;1= 70");
    }

    #[test]
    fn a_counter_without_a_number_is_left_out() {
        let mock = allocating();
        for (file, text) in [
            // In the order of the numbers, not of the names.
            ("mon_L3_100/mbm_local_bytes", "4\n"),
            ("mon_L3_100/mbm_total_bytes", "Unassigned\n"),
            ("mon_L3_02/mbm_local_bytes", "Error\n"),
            ("mon_L3_02/mbm_total_bytes", "2\n"),
            ("mon_L3_01/mbm_total_bytes", "Unavailable\n"),
            // Without a number anywhere there is no list either.
            ("mon_L3_01/llc_occupancy", "Unavailable\n"),
            ("mon_L3_02/llc_occupancy", "\n"),
            ("mon_L3_02/mon_sub_L3_02/llc_occupancy", "7\n"),
            // No cache.
            ("mon_PERF_PKG_00/mbm_total_bytes", "9\n"),
            ("mon_L3_x/mbm_total_bytes", "9\n"),
        ] {
            mock.write(&format!("gold/mon_data/{file}"), text);
        }
        let shown = shown(&mock, "");
        assert_eq!(shown["mbm_stats"], json!([{}, {"mbm_total_bytes": 2}, {"mbm_local_bytes": 4}]));
        assert_eq!(shown.get("cmt_stats"), None);
    }

    #[test]
    fn of_code_and_data_both_schemata_are_told() {
        let mock = Mock::new();
        mock.fill("", "    MB:0=100\nL3DATA:0=fffff\nL3CODE:0=fffff\n L2CODE:0=ff\n");
        mock.fill("gold", "    MB:0=100\nL3DATA:0=0000f\nL3CODE:0=ffff0\n L2CODE:0=0f\n");
        for half in ["info/L3CODE", "info/L3DATA"] {
            mock.write(&format!("{half}/cbm_mask"), "fffff\n");
            mock.write(&format!("{half}/num_closids"), "8\n");
        }
        let shown = shown(&mock, "");
        assert_eq!(shown["l3_cache_info"], json!({"cbm_mask": "fffff", "num_closids": 8}));
        assert_eq!(shown["l3_cache_schema_root"], "L3DATA:0=fffff\nL3CODE:0=fffff");
        assert_eq!(shown["l3_cache_schema"], "L3DATA:0=0000f\nL3CODE:0=ffff0");
        assert_eq!(shown["schemata"], json!(["MB:0=100", "L3DATA:0=0000f", "L3CODE:0=ffff0", "L2CODE:0=0f"]));
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let mock = Mock::new();
        // A processor that has no L3 classes, and a class that is gone.
        mock.fill("", "    MB:0=100\n");
        assert_eq!(shown(&mock, ""), json!({"mem_bw_info": {"bandwidth_gran": 10}, "mem_bw_schema_root": "MB:0=100"}));
        let nowhere = format!("{}/nowhere", mock.root());
        assert_eq!(stats(&nowhere, &nowhere, &nowhere), IntelRdt::default());
    }
}
