//! What has no counterpart in a network.

use super::files::{file, int, integers, ints, node, ones, open, refusal, value, word};
use crate::onnx::{Error, ReadOptions, proto, read};
use prost::Message;

#[test]
fn an_unknown_operator_is_named_with_its_node_and_domain_and_version() {
    let mut lstm = node("LSTM", &["input"], "logits", &[int("hidden_size", 3)]);
    assert_eq!(
        refusal(13, lstm.clone(), vec![]),
        "node 'the LSTM': operator LSTM of domain '', version 13, has no counterpart"
    );
    lstm.domain = "com.microsoft".into();
    lstm.name.clear();
    assert_eq!(
        refusal(13, lstm, vec![]),
        "node 'logits': operator LSTM of domain 'com.microsoft', version 13, has no counterpart"
    );
}

#[test]
fn versions_that_are_not_read_are_named() {
    for opset in [6, 24, -1] {
        let error = open(&file(opset, vec![node("Relu", &["input"], "logits", &[])], vec![])).unwrap_err();
        assert_eq!(error, Error::Opset { found: opset, least: 7, most: 23 });
    }
    let mut none = file(13, vec![node("Relu", &["input"], "logits", &[])], vec![]);
    none.opset_import.clear();
    assert_eq!(open(&none).unwrap_err(), Error::NoOpset);
}

#[test]
fn windows_and_pads_without_a_counterpart_are_refused() {
    let conv = |attributes: &[proto::Attribute]| {
        refusal(13, node("Conv", &["input", "w"], "logits", attributes), vec![ones("w", &[2, 4, 3, 3])])
    };
    assert_eq!(
        conv(&[ints("dilations", &[2, 2])]),
        "node 'the Conv' (Conv): attribute dilations is [2, 2], expected 1 everywhere"
    );
    assert!(conv(&[ints("pads", &[-1, 0, 0, 0])]).contains("attribute pads is [-1, 0, 0, 0]"));
    assert!(conv(&[ints("kernel_shape", &[5, 5])]).contains("expected the kernel of the weights"));
    assert!(conv(&[int("group", 0)]).contains("attribute group is 0"));
    assert!(conv(&[int("group", 3)]).contains("the weights is a constant of [2, 4, 3, 3] numbers"));
    assert!(conv(&[word("auto_pad", "SAME")]).contains("attribute auto_pad is SAME"));
    assert!(conv(&[ints("strides", &[0, 1])]).contains("stride is 0"));
    assert!(conv(&[int("strides", 1)]).contains("attribute strides is of another type"));
    assert!(conv(&[int("silent", 1)]).contains("attribute silent is given, expected no such attribute"));
    let line = refusal(13, node("Conv", &["input", "w"], "logits", &[]), vec![ones("w", &[2, 4, 3])]);
    assert!(line.contains("a constant of [2, 4, 3] numbers"), "{line}");
    let shape = [ints("output_shape", &[9, 9])];
    let transposed = node("ConvTranspose", &["input", "w"], "logits", &shape);
    assert!(
        refusal(13, transposed, vec![ones("w", &[4, 2, 3, 3])]).contains("attribute output_shape is [9, 9]")
    );
    let cropped = node("ConvTranspose", &["input", "w"], "logits", &[ints("pads", &[3, 0, 0, 0])]);
    assert!(
        refusal(13, cropped, vec![ones("w", &[4, 2, 3, 3])]).contains("expected none as wide as the kernel")
    );
}

#[test]
fn means_that_count_fewer_pixels_at_the_edge_are_refused() {
    let pool = |attributes: &[proto::Attribute]| {
        let kernel = [ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2])];
        refusal(13, node("AveragePool", &["input"], "logits", &[&kernel, attributes].concat()), vec![])
    };
    assert!(pool(&[ints("pads", &[1, 1, 1, 1])]).contains("a mean of fewer pixels at the edge"));
    assert!(pool(&[int("ceil_mode", 1)]).contains("or an image in which it changes nothing"));
}

#[test]
fn resizing_to_other_pixels_is_refused() {
    let resize = |attributes: &[proto::Attribute], sizes: &[i64]| {
        let mut scales = ones("s", &[4]);
        scales.float_data = vec![1.0, 1.0, 2.0, 2.0];
        let tensors = vec![scales, integers("z", sizes)];
        let inputs: &[&str] = if sizes.is_empty() { &["input", "", "s"] } else { &["input", "", "", "z"] };
        refusal(13, node("Resize", inputs, "logits", attributes), tensors)
    };
    let corners = word("coordinate_transformation_mode", "align_corners");
    let linear = word("mode", "linear");
    assert!(resize(&[linear.clone(), corners], &[]).contains("align_corners, linear"));
    assert!(resize(&[word("mode", "cubic")], &[]).contains("attribute mode is cubic"));
    assert!(resize(&[linear.clone(), int("antialias", 1)], &[]).contains("attribute antialias is 1"));
    assert!(resize(&[linear], &[1, 8, 6, 6]).contains("constants that change rows and columns alone"));
    let half = resize(&[word("nearest_mode", "round_prefer_floor")], &[1, 4, 7, 6]);
    assert!(half.contains("half_pixel, nearest round_prefer_floor, for 6 to 7 and 6 to 6"), "{half}");
    let crop = [word("coordinate_transformation_mode", "tf_crop_and_resize")];
    assert!(resize(&crop, &[]).contains("tf_crop_and_resize"));
}

#[test]
fn activations_and_norms_without_a_counterpart_are_refused() {
    let slopes = vec![proto::Tensor { float_data: vec![0.1, 0.2, 0.3, 0.4], ..ones("s", &[4, 1, 1]) }];
    assert!(
        refusal(13, node("PRelu", &["input", "s"], "logits", &[]), slopes)
            .contains("another for each channel")
    );
    let tanh = node("Gelu", &["input"], "logits", &[word("approximate", "tanh")]);
    assert!(refusal(20, tanh, vec![]).contains("attribute approximate is tanh"));
    assert!(refusal(13, node("Erf", &["input"], "logits", &[]), vec![]).contains("the error function"));
    let rows = node("Softmax", &["input"], "logits", &[int("axis", 2)]);
    assert!(refusal(13, rows, vec![]).contains("expected the channels of each pixel"));
    let all = node("Softmax", &["input"], "logits", &[int("axis", 1)]);
    assert!(refusal(11, all, vec![]).contains("expected the channels of each pixel"));
    assert!(
        refusal(13, node("InstanceNormalization", &["input"], "logits", &[]), vec![])
            .contains("no counterpart")
    );
    let each = ["s", "b", "m", "v"].map(|name| ones(name, &[4])).to_vec();
    let norm =
        node("BatchNormalization", &["input", "s", "b", "m", "v"], "logits", &[int("training_mode", 1)]);
    assert!(refusal(15, norm, each).contains("attribute training_mode is 1"));
}

#[test]
fn shapes_that_do_not_go_together_are_refused_with_both() {
    let add = node("Add", &["input", "c"], "logits", &[]);
    let error = refusal(13, add, vec![ones("c", &[6])]);
    assert!(error.contains("a constant of [6] numbers beside a map of [1, 4, 6, 6]"), "{error}");
    let reshape = node("Reshape", &["input", "t"], "logits", &[]);
    assert!(
        refusal(13, reshape.clone(), vec![integers("t", &[2, -1])]).contains("from [1, 4, 6, 6] to [2, 72]")
    );
    assert!(refusal(13, reshape.clone(), vec![integers("t", &[1, 5])]).contains("the shape is [1, 5]"));
    assert!(refusal(13, reshape.clone(), vec![integers("t", &[-1, -1])]).contains("the shape is [-1, -1]"));
    assert!(refusal(13, reshape, vec![integers("t", &[i64::MAX, i64::MAX])]).contains("the shape is"));
    let turned = node("Transpose", &["input"], "logits", &[ints("perm", &[0, 1, 3, 2])]);
    assert!(refusal(13, turned, vec![]).contains("attribute perm is [0, 1, 3, 2]"));
    let gemm = node("Gemm", &["input", "w"], "logits", &[]);
    assert!(
        refusal(13, gemm, vec![ones("w", &[144, 2])])
            .contains("a map of [1, 4, 6, 6], expected [batch, features]")
    );
    let crop = node("Slice", &["input", "s", "e", "a"], "logits", &[]);
    let ranges = vec![integers("s", &[1]), integers("e", &[3]), integers("a", &[2])];
    assert!(refusal(13, crop, ranges).contains("expected a range of channels"));
}

#[test]
fn one_input_and_one_output_are_read() {
    let relu = node("Relu", &["input"], "a", &[]);
    let mut two = file(13, vec![relu, node("Sigmoid", &["a"], "b", &[])], vec![]);
    let graph = two.graph.as_mut().unwrap();
    graph.output = vec![value("a", &[]), value("b", &[])];
    assert_eq!(open(&two).unwrap_err(), Error::Outputs { names: vec!["a".into(), "b".into()] });
    let chosen =
        |output| read(&two.encode_to_vec(), &ReadOptions { output: Some(output), ..ReadOptions::default() });
    assert_eq!(chosen("a").unwrap().network.nodes().len(), 2);
    assert_eq!(chosen("b").unwrap().network.nodes().len(), 3);
    assert!(matches!(chosen("c"), Err(Error::UnknownOutput { .. })));
    let mut pair = file(13, vec![node("Add", &["input", "other"], "logits", &[])], vec![]);
    pair.graph.as_mut().unwrap().input.push(value("other", &[Some(1), Some(4), Some(6), Some(6)]));
    assert_eq!(open(&pair).unwrap_err(), Error::Inputs { names: vec!["input".into(), "other".into()] });
    let constant = file(13, vec![node("Relu", &["c"], "logits", &[])], vec![ones("c", &[1])]);
    assert_eq!(open(&constant).unwrap_err(), Error::Inputs { names: vec![] });
}

#[test]
fn what_does_not_lead_to_the_output_is_not_looked_at() {
    let nodes = vec![
        node("LSTM", &["input"], "unused", &[]),
        node("Relu", &["input"], "logits", &[]),
        node("Loop", &["unused", "nowhere"], "lost", &[]),
    ];
    assert_eq!(open(&file(13, nodes, vec![])).unwrap().network.nodes().len(), 2);
}

#[test]
fn outputs_of_other_dimensions_than_stated_are_refused() {
    let mut model = file(13, vec![node("Relu", &["input"], "logits", &[])], vec![]);
    let mut state = |dims: &[Option<i64>]| {
        model.graph.as_mut().unwrap().output = vec![value("logits", dims)];
        open(&model).map(|_| ())
    };
    assert_eq!(state(&[None, Some(4), None, Some(6)]), Ok(()));
    let error = state(&[Some(1), Some(4), Some(6), Some(5)]).unwrap_err().to_string();
    assert_eq!(
        error,
        "'logits' has dimensions [1, 4, 6, 5] but makes [1, 4, 6, 6], expected both to be equal"
    );
    assert!(state(&[Some(1), Some(144)]).is_err());
}
