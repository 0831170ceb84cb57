use super::*;
use proptest::prelude::*;

fn refusal(code: &str) -> String {
    code.parse::<UnetGenotype>().unwrap_err().to_string()
}

#[test]
fn a_code_reads_as_its_genes() {
    let genotype: UnetGenotype = "u1;w;b;cba16r-x;cm32k3e4gd2-a".parse().unwrap();
    let first = Stage {
        block: Block::ConvBnAct,
        size: Some(16),
        activation: Activation::Relu,
        dropout: 0,
        pool: Pool::Max,
    };
    let second = Stage {
        block: Block::CspMbConv { depth: 3, expansion: 4 },
        size: Some(32),
        activation: Activation::Gelu,
        dropout: 2,
        pool: Pool::Average,
    };
    let expected =
        UnetGenotype { rule: ChannelRule::Width, stages: vec![first, second], upsampling: Resize::Bilinear };
    assert_eq!(genotype, expected);
}

#[test]
fn blocks_that_keep_channels_have_no_coefficient() {
    let genotype: UnetGenotype = "u1;m;n;dn5r-x;mbe3r-x;mbre6g-a;rnq2r-x;cck1r-x".parse().unwrap();
    let sizes: Vec<Option<u16>> = genotype.stages.iter().map(|stage| stage.size).collect();
    assert_eq!(sizes, [Some(5), None, None, None, None]);
    assert_eq!(refusal("u1;m;n;rn8q2r-x"), "column 10: expected the reduction, 'q2' to 'q4', found '8'");
}

#[test]
fn errors_name_the_column_what_was_expected_and_what_was_found() {
    let cases = [
        ("", "column 1: expected the version 'u1', found the end"),
        ("u2;w;n;ca8r-x", "column 1: expected the version 'u1', found 'u'"),
        ("u1;q;n;ca8r-x", "column 4: expected the channel rule, 'w' or 'm', found 'q'"),
        ("u1;w;ü;ca8r-x", "column 6: expected the upsampling, 'n' or 'b', found 'ü'"),
        ("u1;w;n", "column 7: expected ';' and a stage, found the end"),
        ("u1;w;n;", "column 8: expected a block: ca, cba, cse, mb, mbr, dn, rn, cc or cm, found the end"),
        ("u1;w;n;car-x", "column 10: expected the width, a multiple of 8 from 8 to 1024, found 'r'"),
        ("u1;w;n;ca12r-x", "column 10: expected the width, a multiple of 8 from 8 to 1024, found 12"),
        ("u1;w;n;ca016r-x", "column 10: expected the width, a multiple of 8 from 8 to 1024, found 016"),
        (
            "u1;w;n;ca99999999999999999999r-x",
            "column 10: expected the width, a multiple of 8 from 8 to 1024, found a number of 20 digits",
        ),
        ("u1;m;n;ca3r-x", "column 10: expected the coefficient, 4 to 12, found 3"),
        ("u1;w;n;cc8k4r-x", "column 12: expected the depth, 'k1' to 'k3', found 4"),
        ("u1;w;n;ca8-x", "column 11: expected the activation, 'r' or 'g', found '-'"),
        ("u1;w;n;ca8rd0-x", "column 13: expected the dropout, 'd1' to 'd5', found 0"),
        ("u1;w;n;ca8rx", "column 12: expected the dropout or '-', found 'x'"),
        ("u1;w;n;ca8rd3x", "column 14: expected '-', found 'x'"),
        ("u1;w;n;ca8r-m", "column 13: expected the pooling, 'x' or 'a', found 'm'"),
        ("u1;w;n;ca8r-x\n", "column 14: expected ';' or the end, found '\\n'"),
    ];
    for (code, message) in cases {
        assert_eq!(refusal(code), message, "{code}");
    }
}

fn numbered(kind: BlockKind, [expansion, reduction, depth]: [u8; 3]) -> Block {
    match kind {
        BlockKind::MbConv => Block::MbConv { expansion },
        BlockKind::MbConvResidual => Block::MbConvResidual { expansion },
        BlockKind::ResNet => Block::ResNet { reduction },
        BlockKind::CspConv => Block::CspConv { depth },
        BlockKind::CspMbConv => Block::CspMbConv { depth, expansion },
        without_numbers => Block::smallest(without_numbers),
    }
}

fn stages(rule: ChannelRule) -> impl Strategy<Value = Vec<Stage>> {
    let kinds = prop::sample::select(BlockKind::ALL.to_vec());
    let activations = prop::sample::select(vec![Activation::Relu, Activation::Gelu]);
    let pools = prop::sample::select(vec![Pool::Max, Pool::Average]);
    let genes = (kinds, (3_u8..=6, 2_u8..=4, 1_u8..=3), 4_u16..=12, activations, 0_u8..=5, pools);
    let stage = genes.prop_map(move |(kind, numbers, size, activation, dropout, pool)| {
        let size = match rule {
            ChannelRule::Width => Some(8 * size),
            ChannelRule::Multiply => kind.multiplies().then_some(size),
        };
        Stage { block: numbered(kind, numbers.into()), size, activation, dropout, pool }
    });
    prop::collection::vec(stage, 1..7)
}

fn genotypes() -> impl Strategy<Value = UnetGenotype> {
    let rules = prop::sample::select(vec![ChannelRule::Width, ChannelRule::Multiply]);
    let upsamplings = prop::sample::select(vec![Resize::Nearest, Resize::Bilinear]);
    (rules, upsamplings).prop_flat_map(|(rule, upsampling)| {
        stages(rule).prop_map(move |stages| UnetGenotype { rule, stages, upsampling })
    })
}

proptest! {
    #[test]
    fn every_genotype_survives_its_code_and_json(genotype in genotypes()) {
        let code = genotype.to_string();
        prop_assert_eq!(code.parse::<UnetGenotype>().unwrap(), genotype.clone());
        let json = serde_json::to_string(&genotype).unwrap();
        prop_assert_eq!(&json, &format!("\"{code}\""));
        prop_assert_eq!(serde_json::from_str::<UnetGenotype>(&json).unwrap(), genotype);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        prop_assert!(text.parse::<UnetGenotype>().is_err());
    }

    #[test]
    fn a_damaged_code_is_refused_or_is_another_code(
        genotype in genotypes(), at: prop::sample::Index, with: char,
    ) {
        let mut letters: Vec<char> = genotype.to_string().chars().collect();
        let at = at.index(letters.len());
        letters[at] = with;
        let damaged: String = letters.into_iter().collect();
        match damaged.parse::<UnetGenotype>() {
            Ok(read) => prop_assert_eq!(read.to_string(), damaged),
            Err(Error::Code { column, .. }) => prop_assert!(column <= damaged.chars().count() + 1),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn a_cut_code_is_refused_at_or_before_the_cut_or_ends_after_a_stage(
        genotype in genotypes(), at: prop::sample::Index,
    ) {
        let code = genotype.to_string();
        let cut = &code[..at.index(code.len())];
        match cut.parse::<UnetGenotype>() {
            Ok(_) => prop_assert!(code[cut.len()..].starts_with(';')),
            Err(Error::Code { column, .. }) => prop_assert!(column <= cut.len() + 1),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
