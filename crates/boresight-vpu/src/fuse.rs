//! Which nodes cost nothing, since the stage before them does their work.

use boresight_ir::{Conv2d, Network, Node, NodeId, Op, Window};

/// What takes a node in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absorbed {
    /// Nothing: it has a stage of its own.
    No,
    /// The stage of this node.
    By(NodeId),
}

/// For each node, what takes it in.
///
/// A convolution takes in, one after the other and only as long as each is the sole reader of the one before: a batch
/// normalisation or scale-shift, a `ReLU` or `ReLU6`, and a 2x2 max pooling. An addition or pooling takes in a `ReLU`.
pub(crate) fn absorbed(network: &Network) -> Vec<Absorbed> {
    let nodes = network.nodes();
    let mut readers = vec![0_usize; nodes.len()];
    for node in nodes {
        for input in &node.inputs {
            readers[input.index()] += 1;
        }
    }
    let mut absorbed = vec![Absorbed::No; nodes.len()];
    let mut last = vec![Step::Closed; nodes.len()];
    for (id, node) in network.iter() {
        last[id.index()] = Step::of(&node.op);
        let [source] = node.inputs[..] else { continue };
        if matches!(node.op, Op::Dropout { .. }) {
            absorbed[id.index()] = Absorbed::By(maker(&absorbed, source));
            // Reading through it is reading what it reads.
            last[id.index()] = if readers[source.index()] == 1 { last[source.index()] } else { Step::Closed };
            continue;
        }
        if readers[source.index()] != 1 {
            continue;
        }
        let maker = maker(&absorbed, source);
        let next = match (&node.op, last[source.index()]) {
            (Op::BatchNorm { .. } | Op::ScaleShift, Step::Convolved) => Step::Scaled,
            (Op::Relu | Op::Relu6, Step::Convolved | Step::Scaled) => Step::Activated,
            (Op::Relu, Step::Added) => Step::Closed,
            (Op::MaxPool(window), Step::Convolved | Step::Scaled | Step::Activated)
                if pools(network, maker, *window) =>
            {
                Step::Closed
            }
            _ => continue,
        };
        absorbed[id.index()] = Absorbed::By(maker);
        last[id.index()] = next;
    }
    absorbed
}

/// How far a chain of fused nodes has come.
#[derive(Clone, Copy)]
enum Step {
    Convolved,
    Scaled,
    Activated,
    Added,
    Closed,
}

impl Step {
    const fn of(op: &Op) -> Self {
        match op {
            Op::Conv2d(_) => Self::Convolved,
            Op::Add | Op::MaxPool(_) | Op::AvgPool(_) => Self::Added,
            _ => Self::Closed,
        }
    }
}

/// The node whose stage makes the value of `id`.
pub(crate) fn maker(absorbed: &[Absorbed], id: NodeId) -> NodeId {
    match absorbed[id.index()] {
        Absorbed::By(maker) => maker,
        Absorbed::No => id,
    }
}

/// The pooling that the stage of convolution `id` takes in.
pub(crate) fn pooling(network: &Network, absorbed: &[Absorbed], id: NodeId) -> Option<NodeId> {
    let takes = |reader: &NodeId, node: &Node| {
        matches!(node.op, Op::MaxPool(_)) && absorbed[reader.index()] == Absorbed::By(id)
    };
    network.iter().skip(id.index() + 1).find(|(reader, node)| takes(reader, node)).map(|(reader, _)| reader)
}

/// Whether this pooling fits into the stage of `maker`: 2x2 with step 2 after a dense 3x3 with stride and padding 1,
/// all sizes even.
fn pools(network: &Network, maker: NodeId, window: Window) -> bool {
    let node = network.node(maker);
    let Op::Conv2d(Conv2d { kernel: [3, 3], stride: [1, 1], padding: [1, 1], groups: 1, .. }) = node.op
    else {
        return false;
    };
    let halves = |size: usize| size.is_multiple_of(4);
    window == Window::square(2) && halves(node.shape.height) && halves(node.shape.width)
}
