//! The code of a genotype: one readable line that stands for one genotype and back.

use crate::genotype::{COEFFICIENT, DEPTH, DROPOUT_LIMIT, EXPANSION, REDUCTION};
use crate::settings::width_is_legal;
use crate::{Activation, Block, BlockKind, ChannelRule, Error, Pool, Stage, UnetGenotype};
use boresight_ir::Resize;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The tag of this grammar; a change of the grammar or of what a code decodes to takes another.
const VERSION: &str = "u1";
const RULES: [(&str, ChannelRule); 2] = [("w", ChannelRule::Width), ("m", ChannelRule::Multiply)];
const UPSAMPLINGS: [(&str, Resize); 2] = [("n", Resize::Nearest), ("b", Resize::Bilinear)];
/// `mbr` before `mb`, since the first that fits is taken.
const BLOCKS: [(&str, BlockKind); 9] = [
    ("ca", BlockKind::ConvAct),
    ("cba", BlockKind::ConvBnAct),
    ("cse", BlockKind::ConvSe),
    ("mbr", BlockKind::MbConvResidual),
    ("mb", BlockKind::MbConv),
    ("dn", BlockKind::DenseNet),
    ("rn", BlockKind::ResNet),
    ("cc", BlockKind::CspConv),
    ("cm", BlockKind::CspMbConv),
];
const ACTIVATIONS: [(&str, Activation); 2] = [("r", Activation::Relu), ("g", Activation::Gelu)];
const POOLS: [(&str, Pool); 2] = [("x", Pool::Max), ("a", Pool::Average)];

fn token<T: PartialEq>(tokens: &[(&'static str, T)], value: &T) -> &'static str {
    tokens.iter().find(|(_, other)| other == value).map_or("", |(token, _)| token)
}

impl fmt::Display for UnetGenotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, upsampling) = (token(&RULES, &self.rule), token(&UPSAMPLINGS, &self.upsampling));
        write!(f, "{VERSION};{rule};{upsampling}")?;
        self.stages.iter().try_for_each(|stage| write!(f, ";{stage}"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(token(&BLOCKS, &self.block.kind()))?;
        if let Some(size) = self.size {
            write!(f, "{size}")?;
        }
        match self.block {
            Block::ConvAct | Block::ConvBnAct | Block::ConvSe | Block::DenseNet => {}
            Block::MbConv { expansion } | Block::MbConvResidual { expansion } => write!(f, "e{expansion}")?,
            Block::ResNet { reduction } => write!(f, "q{reduction}")?,
            Block::CspConv { depth } => write!(f, "k{depth}")?,
            Block::CspMbConv { depth, expansion } => write!(f, "k{depth}e{expansion}")?,
        }
        f.write_str(token(&ACTIVATIONS, &self.activation))?;
        if self.dropout > 0 {
            write!(f, "d{}", self.dropout)?;
        }
        write!(f, "-{}", token(&POOLS, &self.pool))
    }
}

impl FromStr for UnetGenotype {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self, Error> {
        let mut parser = Parser { rest: code, column: 1 };
        parser.expect(VERSION, "the version 'u1'")?;
        parser.expect(";", "';'")?;
        let rule = parser.choice(&RULES, "the channel rule, 'w' or 'm'")?;
        parser.expect(";", "';'")?;
        let upsampling = parser.choice(&UPSAMPLINGS, "the upsampling, 'n' or 'b'")?;
        parser.expect(";", "';' and a stage")?;
        let mut stages = vec![parser.stage(rule)?];
        while !parser.rest.is_empty() {
            parser.expect(";", "';' or the end")?;
            stages.push(parser.stage(rule)?);
        }
        Ok(Self { rule, stages, upsampling })
    }
}

/// What is left of a code, and the column where it starts.
struct Parser<'code> {
    rest: &'code str,
    column: usize,
}

impl Parser<'_> {
    /// Whether `token` comes next; it is then taken.
    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        self.column += token.chars().count();
        true
    }

    fn expect(&mut self, token: &str, expected: &'static str) -> Result<(), Error> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn choice<T: Copy>(&mut self, tokens: &[(&str, T)], expected: &'static str) -> Result<T, Error> {
        let found = tokens.iter().find(|(token, _)| self.take(token));
        found.map(|&(_, value)| value).ok_or_else(|| self.unexpected(expected))
    }

    fn unexpected(&self, expected: &'static str) -> Error {
        let found = self.rest.chars().next().map_or("the end".into(), |next| format!("{next:?}"));
        Error::Code { column: self.column, expected, found }
    }

    /// A number without leading zeros for which `holds`.
    fn number(&mut self, holds: impl Fn(u16) -> bool, expected: &'static str) -> Result<u16, Error> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(self.unexpected(expected));
        }
        let (number, rest) = self.rest.split_at(digits);
        let value = number.parse().ok().filter(|&value| holds(value) && !number.starts_with('0'));
        let found = || if digits > 8 { format!("a number of {digits} digits") } else { number.to_owned() };
        let value = value.ok_or_else(|| Error::Code { column: self.column, expected, found: found() })?;
        self.rest = rest;
        self.column += digits;
        Ok(value)
    }

    /// A letter and a number of one digit.
    fn marked(&mut self, mark: &str, [least, most]: [u8; 2], expected: &'static str) -> Result<u8, Error> {
        self.expect(mark, expected)?;
        let range: RangeInclusive<u16> = least.into()..=most.into();
        let value = self.number(|value| range.contains(&value), expected)?;
        // The range ends at `most`, which is a u8.
        Ok(u8::try_from(value).unwrap_or(most))
    }

    fn stage(&mut self, rule: ChannelRule) -> Result<Stage, Error> {
        let kind = self.choice(&BLOCKS, "a block: ca, cba, cse, mb, mbr, dn, rn, cc or cm")?;
        let size = self.size(rule, kind)?;
        let block = self.block(kind)?;
        let activation = self.choice(&ACTIVATIONS, "the activation, 'r' or 'g'")?;
        let dropout = if self.rest.starts_with('d') {
            self.marked("d", [1, DROPOUT_LIMIT], "the dropout, 'd1' to 'd5'")?
        } else {
            0
        };
        self.expect("-", if dropout == 0 { "the dropout or '-'" } else { "'-'" })?;
        let pool = self.choice(&POOLS, "the pooling, 'x' or 'a'")?;
        Ok(Stage { block, size, activation, dropout, pool })
    }

    fn size(&mut self, rule: ChannelRule, kind: BlockKind) -> Result<Option<u16>, Error> {
        let [least, most] = COEFFICIENT;
        match rule {
            ChannelRule::Width => {
                self.number(width_is_legal, "the width, a multiple of 8 from 8 to 1024").map(Some)
            }
            ChannelRule::Multiply if kind.multiplies() => {
                self.number(|value| (least..=most).contains(&value), "the coefficient, 4 to 12").map(Some)
            }
            ChannelRule::Multiply => Ok(None),
        }
    }

    fn block(&mut self, kind: BlockKind) -> Result<Block, Error> {
        Ok(match kind {
            BlockKind::ConvAct => Block::ConvAct,
            BlockKind::ConvBnAct => Block::ConvBnAct,
            BlockKind::ConvSe => Block::ConvSe,
            BlockKind::MbConv => Block::MbConv { expansion: self.expansion()? },
            BlockKind::MbConvResidual => Block::MbConvResidual { expansion: self.expansion()? },
            BlockKind::DenseNet => Block::DenseNet,
            BlockKind::ResNet => {
                Block::ResNet { reduction: self.marked("q", REDUCTION, "the reduction, 'q2' to 'q4'")? }
            }
            BlockKind::CspConv => Block::CspConv { depth: self.depth()? },
            BlockKind::CspMbConv => Block::CspMbConv { depth: self.depth()?, expansion: self.expansion()? },
        })
    }

    fn expansion(&mut self) -> Result<u8, Error> {
        self.marked("e", EXPANSION, "the expansion, 'e3' to 'e6'")
    }

    fn depth(&mut self) -> Result<u8, Error> {
        self.marked("k", DEPTH, "the depth, 'k1' to 'k3'")
    }
}

#[cfg(test)]
mod tests;
