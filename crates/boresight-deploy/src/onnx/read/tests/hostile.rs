//! Files that lie.

use super::files::{file, int, integers, ints, node, ones, open, value};
use crate::onnx::proto::{self, attribute_type, data_type};
use crate::onnx::{Error, Limits, ReadOptions, read};
use prost::Message;
use std::fs;
use std::path::PathBuf;

fn relu(input: &str, output: &str) -> proto::Node {
    node("Relu", &[input], output, &[])
}

fn convolution(weight: proto::Tensor) -> Error {
    open(&file(13, vec![node("Conv", &["input", "w"], "logits", &[])], vec![weight])).unwrap_err()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = file(13, vec![node("Conv", &["input", "w"], "logits", &[])], vec![ones("w", &[2, 4, 3, 3])])
        .encode_to_vec();
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end], &ReadOptions::default()).is_err(), "{end}");
    }
    assert!(read(&bytes, &ReadOptions::default()).is_ok());
}

#[test]
fn names_that_nothing_makes_cycles_and_second_makers_are_refused() {
    let undefined =
        open(&file(13, vec![relu("nowhere", "a"), node("Add", &["input", "a"], "logits", &[])], vec![]));
    assert_eq!(
        undefined.unwrap_err(),
        Error::Undefined { reader: "the Relu".into(), value: "nowhere".into() }
    );
    let cycle = vec![node("Add", &["input", "b"], "a", &[]), relu("a", "b"), relu("b", "logits")];
    assert!(matches!(open(&file(13, cycle, vec![])), Err(Error::Undefined { .. })));
    let itself = open(&file(13, vec![node("Add", &["input", "logits"], "logits", &[])], vec![]));
    assert!(matches!(itself, Err(Error::Undefined { .. })));
    let twice = open(&file(13, vec![relu("input", "logits"), relu("input", "logits")], vec![]));
    assert_eq!(twice.unwrap_err(), Error::Duplicate { value: "logits".into() });
    let shadowed = open(&file(13, vec![relu("input", "w"), relu("w", "logits")], vec![ones("w", &[1])]));
    assert_eq!(shadowed.unwrap_err(), Error::Duplicate { value: "w".into() });
    let again = open(&file(13, vec![relu("input", "logits")], vec![ones("w", &[1]), ones("w", &[1])]));
    assert_eq!(again.unwrap_err(), Error::Duplicate { value: "w".into() });
}

#[test]
fn tensors_that_are_not_as_long_as_they_say_are_refused() {
    let short = proto::Tensor { float_data: vec![1.0; 71], ..ones("w", &[2, 4, 3, 3]) };
    let error = convolution(short).to_string();
    assert_eq!(error, "tensor 'w' has dimensions [2, 4, 3, 3], its data have another length: 71 values");
    let raw = proto::Tensor { raw_data: Some(vec![0; 287]), ..ones("w", &[2, 4, 3, 3]) };
    assert!(matches!(convolution(raw), Error::Length { found: 287, .. }));
    let negative = proto::Tensor { dims: vec![2, -4, 3, 3], ..ones("w", &[2, 4, 3, 3]) };
    assert!(matches!(convolution(negative), Error::Dimensions { .. }));
    for huge in [vec![1 << 40, 1 << 40, 1 << 40, 3], vec![i64::MAX, 2, 1, 1], vec![0, i64::MAX, i64::MAX, 3]]
    {
        let error = convolution(proto::Tensor { dims: huge, ..ones("w", &[1]) });
        assert!(matches!(error, Error::Dimensions { .. }), "{error}");
    }
    let large = convolution(proto::Tensor { dims: vec![1 << 20, 1 << 10, 1, 1], ..ones("w", &[1]) });
    assert_eq!(large, Error::TooLarge { what: "values", limit: 1 << 27 });
    let deep = convolution(proto::Tensor { dims: vec![1; 1000], ..ones("w", &[1]) });
    assert!(matches!(deep, Error::Dimensions { .. }));
}

#[test]
fn types_that_are_not_read_are_named() {
    let of = |kind| convolution(proto::Tensor { data_type: kind, ..ones("w", &[2, 4, 3, 3]) }).to_string();
    assert!(of(16).starts_with("tensor 'w' has type BFLOAT16"), "{}", of(16));
    assert!(of(3).starts_with("tensor 'w' has type INT8"));
    assert!(of(-7).starts_with("tensor 'w' has type data type -7"));
    let integers =
        convolution(proto::Tensor { dims: vec![1, 4, 1, 1], ..integers("w", &[1; 4]) }).to_string();
    assert!(
        integers.contains("a constant of [1, 4, 1, 1] integers, expected floating-point numbers"),
        "{integers}"
    );
    let mut input = file(13, vec![relu("input", "logits")], vec![]);
    let graph = input.graph.as_mut().unwrap();
    graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 2;
    assert_eq!(
        open(&input).unwrap_err().to_string(),
        "tensor 'input' has type UINT8, expected FLOAT or FLOAT16"
    );
    let half = proto::Tensor {
        data_type: data_type::FLOAT16,
        float_data: vec![],
        int32_data: vec![-1; 4],
        ..ones("w", &[1, 4, 1, 1])
    };
    assert!(matches!(convolution(half), Error::DataType { .. }));
}

#[test]
fn sizes_of_the_input_are_checked() {
    let with = |dims: &[Option<i64>]| {
        let mut model = file(13, vec![relu("input", "logits")], vec![]);
        model.graph.as_mut().unwrap().input = vec![value("input", dims)];
        open(&model)
    };
    assert!(with(&[Some(2), Some(4), Some(6), Some(6)]).is_ok());
    assert!(with(&[None, Some(4), Some(6), Some(6)]).is_ok());
    for dims in [
        vec![],
        vec![Some(1), Some(4), Some(6)],
        vec![Some(0), Some(4), Some(6), Some(6)],
        vec![Some(1 << 40), Some(4), Some(6), Some(6)],
        vec![Some(1), None, Some(6), Some(6)],
        vec![Some(1), Some(4), Some(-6), Some(6)],
        vec![Some(1), Some(i64::MAX), Some(i64::MAX), Some(i64::MAX)],
        vec![Some(1), Some(4), Some(0), Some(6)],
        vec![Some(1); 100_000],
    ] {
        let error = with(&dims).unwrap_err();
        assert!(matches!(error, Error::Dimensions { .. } | Error::Network(_)), "{error}");
    }
    assert!(matches!(with(&[Some(1), Some(4), None, Some(6)]), Err(Error::NeedsSize { .. })));
}

#[test]
fn graphs_inside_nodes_are_refused_however_deep() {
    let mut inner = vec![0x7a; 3];
    for _ in 0..10_000 {
        let mut outer = vec![0x32];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(&inner);
        inner = outer;
    }
    let then = proto::Attribute {
        name: "then_branch".into(),
        g: Some(inner),
        r#type: Some(5),
        ..proto::Attribute::default()
    };
    let error = open(&file(13, vec![node("If", &["input"], "logits", &[then])], vec![])).unwrap_err();
    assert_eq!(error, Error::Subgraph { node: "the If".into(), op_type: "If".into() });
}

#[test]
fn limits_hold() {
    let bytes = file(13, vec![relu("input", "logits")], vec![]).encode_to_vec();
    let at = |limits| read(&bytes, &ReadOptions { limits, ..ReadOptions::default() }).map(|_| ());
    let limits = Limits::default();
    assert_eq!(at(Limits { bytes: bytes.len(), ..limits }), Ok(()));
    let error = at(Limits { bytes: bytes.len() - 1, ..limits }).unwrap_err();
    assert_eq!(error, Error::TooLarge { what: "bytes", limit: bytes.len() - 1 });
    assert!(matches!(at(Limits { parts: 12, ..limits }), Err(Error::TooLarge { what: "parts", .. })));
    assert!(matches!(at(Limits { parts: 40, ..limits }), Ok(())));
}

#[test]
fn constants_that_grow_without_end_are_refused() {
    // Each node doubles what the one before it made.
    let double = |at: usize| {
        let (from, to) = (format!("c{at}"), format!("c{}", at + 1));
        node("Concat", &[&from, &from], &to, &[int("axis", 0)])
    };
    let mut nodes: Vec<proto::Node> = (0..60).map(double).collect();
    nodes.push(node("Add", &["input", "c60"], "logits", &[]));
    let error = open(&file(13, nodes, vec![ones("c0", &[1])])).unwrap_err();
    assert_eq!(error, Error::TooLarge { what: "values", limit: 1 << 27 });
    let filled = vec![node("ConstantOfShape", &["s"], "c", &[]), node("Add", &["input", "c"], "logits", &[])];
    for dims in [vec![1 << 30], vec![1 << 20; 3], vec![-1], vec![1; 99]] {
        assert!(open(&file(13, filled.clone(), vec![integers("s", &dims)])).is_err());
    }
}

#[test]
fn weights_that_are_used_again_and_again_are_counted_each_time() {
    let mut model = file(13, vec![], vec![ones("w", &[256, 256, 1, 1])]);
    let graph = model.graph.as_mut().unwrap();
    graph.input = vec![value("input", &[Some(1), Some(256), Some(1), Some(1)])];
    let conv = |at: usize| {
        let [from, to] = [at, at + 1].map(|at| if at == 0 { "input".into() } else { format!("x{at}") });
        node("Conv", &[&from, "w"], &to, &[])
    };
    graph.node = (0..3000).map(conv).collect();
    graph.output = vec![value("x3000", &[])];
    assert_eq!(open(&model).unwrap_err(), Error::TooLarge { what: "values", limit: 1 << 27 });
}

#[test]
fn nodes_of_one_name_get_names_of_their_own() {
    let relu = |at: usize| {
        let [from, to] = [at, at + 1].map(|at| if at == 0 { "input".into() } else { format!("x{at}") });
        relu(&from, &to)
    };
    let mut model = file(13, (0..20_000).map(relu).collect(), vec![]);
    model.graph.as_mut().unwrap().output = vec![value("x20000", &[])];
    let network = open(&model).unwrap().network;
    assert_eq!(network.nodes()[20_000].name, "the Relu_20000");
}

#[test]
fn folding_stays_inside_its_tensors() {
    let slice = |tensors: [&[i64]; 4]| {
        let nodes = vec![
            node("Slice", &["c", "s", "e", "a", "t"], "d", &[]),
            node("Reshape", &["input", "d"], "logits", &[]),
        ];
        let names =
            ["s", "e", "a", "t"].into_iter().zip(tensors).map(|(name, values)| integers(name, values));
        let constants = names.chain([integers("c", &[1, 4, 6, 6])]).collect();
        open(&file(13, nodes, constants))
    };
    assert!(slice([&[0], &[4], &[0], &[1]]).is_ok());
    assert!(slice([&[i64::MIN], &[i64::MAX], &[-1], &[1]]).is_ok());
    let wrong: [[&[i64]; 4]; 7] = [
        [&[3], &[i64::MIN], &[0], &[-1]],
        [&[i64::MAX], &[i64::MIN], &[0], &[i64::MIN]],
        [&[0], &[4], &[0], &[0]],
        [&[0], &[4], &[1], &[1]],
        [&[0, 0], &[4], &[0], &[1]],
        [&[], &[], &[], &[]],
        [&[4], &[4], &[0], &[1]],
    ];
    for ranges in wrong {
        assert!(slice(ranges).is_err(), "{ranges:?}");
    }
    let gather = |index: i64| {
        let nodes =
            vec![node("Gather", &["c", "i"], "d", &[]), node("Reshape", &["input", "d"], "logits", &[])];
        open(&file(13, nodes, vec![integers("c", &[1, 4, 6, 6]), integers("i", &[0, 1, 2, index])]))
    };
    assert!(gather(-1).is_ok());
    for index in [4, -5, i64::MIN, i64::MAX] {
        assert!(gather(index).is_err(), "{index}");
    }
    let divided = vec![node("Div", &["c", "z"], "d", &[]), node("Reshape", &["input", "d"], "logits", &[])];
    assert!(open(&file(13, divided, vec![integers("c", &[i64::MIN, 1]), integers("z", &[-1, 0])])).is_err());
}

#[test]
fn attributes_at_the_end_of_their_range_are_refused() {
    let wide = [i64::MAX, i64::MIN, 1 << 32];
    for size in wide {
        for name in ["pads", "strides", "kernel_shape"] {
            let count = if name == "pads" { 4 } else { 2 };
            let mut attributes = vec![ints(name, &vec![size; count])];
            if name != "kernel_shape" {
                attributes.push(ints("kernel_shape", &[2, 2]));
            }
            for ceiling in [0, 1] {
                let attributes = [&attributes[..], &[int("ceil_mode", ceiling)]].concat();
                assert!(
                    open(&file(13, vec![node("MaxPool", &["input"], "logits", &attributes)], vec![]))
                        .is_err()
                );
            }
        }
        let softmax = node("Softmax", &["input"], "logits", &[int("axis", size)]);
        assert!(open(&file(13, vec![softmax], vec![])).is_err());
        let flatten = node("Flatten", &["input"], "logits", &[int("axis", size)]);
        assert!(open(&file(13, vec![flatten], vec![])).is_err());
        let split = node("Split", &["input"], "logits", &[int("axis", 1), ints("split", &[size])]);
        assert!(open(&file(11, vec![split], vec![])).is_err());
    }
    let float = proto::Attribute {
        name: "alpha".into(),
        f: Some(f32::NAN),
        r#type: Some(attribute_type::FLOAT),
        ..proto::Attribute::default()
    };
    assert!(open(&file(13, vec![node("LeakyRelu", &["input"], "logits", &[float])], vec![])).is_err());
}

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("boresight-onnx-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("inside")).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn tensors_outside_the_file_come_from_the_given_folder_alone() {
    let folder = Folder::new("external");
    let base = folder.0.join("inside");
    fs::write(base.join("weights.bin"), [[0; 4], 2.0_f32.to_le_bytes(), 3.0_f32.to_le_bytes()].concat())
        .unwrap();
    fs::write(folder.0.join("secret.bin"), [0; 64]).unwrap();
    let with = |entries: &[(&str, &str)], base: Option<&std::path::Path>| {
        let entry = |&(key, value): &(&str, &str)| proto::Entry { key: key.into(), value: value.into() };
        let tensor = proto::Tensor {
            float_data: vec![],
            external_data: entries.iter().map(entry).collect(),
            data_location: proto::EXTERNAL,
            ..ones("w", &[2, 1, 1, 1])
        };
        let mut model = file(13, vec![node("Conv", &["input", "w"], "logits", &[])], vec![tensor]);
        model.graph.as_mut().unwrap().input = vec![value("input", &[Some(1), Some(1), Some(2), Some(2)])];
        read(&model.encode_to_vec(), &ReadOptions { folder: base, ..ReadOptions::default() })
    };
    let here = Some(base.as_path());
    let model = with(&[("location", "weights.bin"), ("offset", "4"), ("length", "8")], here).unwrap();
    assert_eq!(&model.weights.values()[..2], &[2.0, 3.0]);
    assert!(matches!(with(&[("location", "weights.bin")], None), Err(Error::External { .. })));
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret.bin", base.join("link.bin")).unwrap();
    let absolute = folder.0.join("secret.bin").to_string_lossy().into_owned();
    for location in
        ["../secret.bin", &absolute, "link.bin", "", ".", "missing.bin", "/dev/zero", "./../secret.bin"]
    {
        let error = with(&[("location", location)], here).unwrap_err();
        assert!(matches!(error, Error::External { .. } | Error::Unreadable { .. }), "{location}: {error}");
    }
    for (key, value) in [
        ("offset", "5"),
        ("offset", "-1"),
        ("offset", "18446744073709551615"),
        ("length", "9"),
        ("length", "x"),
    ] {
        let error = with(&[("location", "weights.bin"), (key, value)], here).unwrap_err();
        assert!(matches!(error, Error::External { .. }), "{key} {value}: {error}");
    }
}
