use super::*;
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, Filling, Shape, Window};

/// A network of these operators, one after the other, named `n1`, `n2` and so on.
fn chain(input: Shape, ops: &[Op]) -> Network {
    let mut builder = Builder::new(input).unwrap();
    let mut last = builder.input();
    for (at, &op) in ops.iter().enumerate() {
        last = builder.add(format!("n{}", at + 1), op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

fn graph(export: &Export<'_>) -> proto::Graph {
    proto::Model::decode(&*export.write().unwrap()).unwrap().graph.unwrap()
}

fn kinds(graph: &proto::Graph) -> Vec<&str> {
    graph.node.iter().map(|node| node.op_type.as_str()).collect()
}

fn floats(graph: &proto::Graph, name: &str) -> Vec<f32> {
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name).unwrap();
    let raw = tensor.raw_data.as_ref().unwrap();
    raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn a_file_names_its_nodes_and_the_shape_of_every_value() {
    let network = chain(Shape::new(3, 8, 6), &[Op::Conv2d(Conv2d::same(5, 3)), Op::Gelu, Op::Softmax]);
    let weights = Weights::initial(&network, Seed::new(1));
    let export = Export { batch: 2, ..Export::new(&network, &weights) };
    let graph = graph(&export);
    assert_eq!(graph.input[0].name, "input");
    assert_eq!(graph.output[0].name, "logits");
    for name in ["n1", "n2", "n3"] {
        assert!(graph.node.iter().any(|node| node.name == name), "{name}");
    }
    let known: Vec<&str> =
        graph.value_info.iter().chain(&graph.output).map(|info| info.name.as_str()).collect();
    for output in graph.node.iter().flat_map(|node| &node.output) {
        assert!(known.contains(&output.as_str()), "{output}");
    }
    let shape = |info: &proto::ValueInfo| -> Vec<i64> {
        let tensor = info.r#type.clone().unwrap().tensor_type.unwrap();
        tensor.shape.unwrap().dim.iter().map(|dim| dim.dim_value.unwrap()).collect()
    };
    assert_eq!(shape(&graph.input[0]), [2, 3, 8, 6]);
    assert_eq!(shape(&graph.output[0]), [2, 5, 8, 6]);
}

#[test]
fn equal_exports_make_equal_bytes() {
    let network = chain(Shape::new(3, 8, 6), &[Op::Conv2d(Conv2d::same(5, 3)), Op::Relu6]);
    let weights = Weights::initial(&network, Seed::new(1));
    let metadata = [("seed", "7"), ("code", "u1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let export = Export { metadata: metadata.into(), ..Export::new(&network, &weights) };
    assert_eq!(export.write().unwrap(), export.write().unwrap());
}

#[test]
fn padding_and_zero_stuffing_become_part_of_what_reads_them() {
    let stuff = Op::ZeroStuff { stride: [2, 2] };
    let lowest = Op::Pad { rows: [1, 1], columns: [1, 1], filling: Filling::Lowest };
    let uneven = Op::Pad { rows: [1, 2], columns: [1, 2], filling: Filling::Zero };
    let plain = Conv2d { padding: [0, 0], ..Conv2d::same(4, 3) };
    let pool = Op::MaxPool(Window { kernel: [3, 3], stride: [2, 2] });
    let network = chain(Shape::new(3, 8, 8), &[stuff, uneven, Op::Conv2d(plain), lowest, pool]);
    let weights = Weights::initial(&network, Seed::new(1));
    let graph = graph(&Export::new(&network, &weights));
    assert_eq!(kinds(&graph), ["ConvTranspose", "MaxPool"]);
    let attribute =
        |name: &str| graph.node[0].attribute.iter().find(|found| found.name == name).unwrap().ints.clone();
    assert_eq!(attribute("pads"), [1, 1, 1, 1]);
    assert_eq!(attribute("output_padding"), [1, 1]);
}

#[test]
fn a_border_moves_into_the_bias_and_a_zero_one_leaves_no_trace() {
    let network = chain(Shape::new(2, 5, 5), &[Op::Conv2d(Conv2d::same(1, 3).without_bias())]);
    let mut weights = Weights::initial(&network, Seed::new(1));
    assert_eq!(kinds(&graph(&Export::new(&network, &weights))), ["Conv"]);
    weights.set_border(&[2.0, -0.5]).unwrap();
    let graph = graph(&Export::new(&network, &weights));
    assert_eq!(kinds(&graph), ["Add", "Conv"]);
    assert_eq!(floats(&graph, "input.shifted"), [-2.0, 0.5]);
    let taps = |range: Range<usize>| -> f64 { weights.values()[range].iter().copied().map(f64::from).sum() };
    let expected = 2.0 * taps(0..9) - 0.5 * taps(9..18);
    assert!((f64::from(floats(&graph, "n1.bias")[0]) - expected).abs() < 1e-6);
}

#[test]
fn a_normalisation_is_one_product_where_convolutions_read_the_input() {
    let network = chain(Shape::new(1, 4, 4), &[Op::Conv2d(Conv2d::same(1, 3))]);
    let weights = Weights::from_values(&network, vec![1.0; 11]).unwrap();
    let bands = [Band { mean: 100.0, deviation: 50.0 }];
    let graph = graph(&Export { normalisation: Some(&bands), ..Export::new(&network, &weights) });
    assert_eq!(kinds(&graph), ["Mul", "Conv"]);
    assert_eq!(floats(&graph, "input.scaled"), [0.02]);
    assert_eq!(floats(&graph, "n1.bias"), [1.0 - 9.0 * 2.0]);
}

#[test]
fn what_fp16_cannot_hold_is_named() {
    let network = chain(Shape::new(1, 2, 2), &[Op::Conv2d(Conv2d::same(1, 1))]);
    let weights = Weights::from_values(&network, vec![1.0, 65_520.0, 0.0]).unwrap();
    for form in [Form::Fp16, Form::Fp16Weights] {
        let error = Export { form, ..Export::new(&network, &weights) }.write().unwrap_err();
        let expected = Error::Overflow { tensor: "n1.bias".into(), index: 0, value: "65520".into() };
        assert_eq!(error, expected);
    }
}

#[test]
fn a_network_that_hands_on_its_input_is_an_identity() {
    let network = chain(Shape::new(1, 2, 2), &[Op::Dropout { rate: 0.5 }]);
    let weights = Weights::initial(&network, Seed::new(1));
    assert_eq!(kinds(&graph(&Export::new(&network, &weights))), ["Identity"]);
}
