//! A node of the file, and typed access to its attributes.

use super::constant::shown;
use crate::onnx::Error;
use crate::onnx::proto::{self, attribute_type};

/// A node that is being read.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) node: &'a proto::Node,
    pub(super) opset: i64,
}

impl<'a> Call<'a> {
    /// What the network calls it: its name, or that of what it makes.
    pub(super) fn name(&self) -> &'a str {
        let output = self.node.output.first().map_or("", String::as_str);
        if self.node.name.is_empty() { output } else { &self.node.name }
    }

    pub(super) fn op_type(&self) -> &'a str {
        &self.node.op_type
    }

    /// Name of an input; `None` where it is absent.
    pub(super) fn input(&self, at: usize) -> Option<&'a str> {
        self.node.input.get(at).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// An operator that is not read.
    pub(super) fn unknown(&self) -> Error {
        Error::Operator {
            node: self.name().to_owned(),
            op_type: self.op_type().to_owned(),
            domain: self.node.domain.clone(),
            opset: self.opset,
        }
    }

    /// An attribute with a value that is not read.
    pub(super) fn attribute_error(&self, attribute: &str, found: String, expected: &'static str) -> Error {
        Error::Attribute {
            node: self.name().to_owned(),
            op_type: self.op_type().to_owned(),
            attribute: attribute.to_owned(),
            found,
            expected,
        }
    }

    /// An input with a value that is not read.
    pub(super) fn operand_error(
        &self,
        operand: &'static str,
        found: String,
        expected: &'static str,
    ) -> Error {
        Error::Operand {
            node: self.name().to_owned(),
            op_type: self.op_type().to_owned(),
            operand,
            found,
            expected,
        }
    }

    /// Checks that there is no graph inside and no attribute but those that are `known`, where any are.
    pub(super) fn check_attributes(&self, known: Option<&[&str]>) -> Result<(), Error> {
        for attribute in &self.node.attribute {
            if attribute.g.is_some() || !attribute.graphs.is_empty() {
                let (node, op_type) = (self.name().to_owned(), self.op_type().to_owned());
                return Err(Error::Subgraph { node, op_type });
            }
            if known.is_some_and(|known| !known.contains(&attribute.name.as_str())) {
                return Err(self.attribute_error(&attribute.name, "given".into(), "no such attribute"));
            }
        }
        Ok(())
    }

    fn find(&self, name: &str, kind: i32) -> Result<Option<&'a proto::Attribute>, Error> {
        let Some(found) = self.node.attribute.iter().find(|attribute| attribute.name == name) else {
            return Ok(None);
        };
        // Before version 3 of the file format attributes did not say their type.
        if found.r#type.is_some_and(|found| found != kind && found != 0) {
            return Err(self.attribute_error(name, "of another type".into(), "the type that ONNX gives it"));
        }
        Ok(Some(found))
    }

    pub(super) fn int(&self, name: &str, otherwise: i64) -> Result<i64, Error> {
        let found = self.find(name, attribute_type::INT)?;
        Ok(found.map_or(otherwise, |attribute| attribute.i.unwrap_or_default()))
    }

    /// An integer that stands for yes or no.
    pub(super) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, Error> {
        Ok(self.int(name, otherwise.into())? != 0)
    }

    pub(super) fn float(&self, name: &str, otherwise: f32) -> Result<f32, Error> {
        let found = self.find(name, attribute_type::FLOAT)?;
        Ok(found.map_or(otherwise, |attribute| attribute.f.unwrap_or_default()))
    }

    pub(super) fn word(&self, name: &str, otherwise: &'a str) -> Result<&'a str, Error> {
        let Some(found) = self.find(name, attribute_type::STRING)? else { return Ok(otherwise) };
        let bytes = found.s.as_deref().unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| self.attribute_error(name, "no text".into(), "text"))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, Error> {
        Ok(self.find(name, attribute_type::INTS)?.map(|attribute| attribute.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, Error> {
        Ok(self.find(name, attribute_type::FLOATS)?.map(|attribute| attribute.floats.as_slice()))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a proto::Tensor>, Error> {
        Ok(self.find(name, attribute_type::TENSOR)?.and_then(|attribute| attribute.t.as_deref()))
    }

    /// An attribute that is a size from 1 up.
    pub(super) fn positive(&self, name: &str, otherwise: i64) -> Result<usize, Error> {
        let found = self.int(name, otherwise)?;
        let size = usize::try_from(found).ok().filter(|&size| size > 0);
        size.ok_or_else(|| self.attribute_error(name, found.to_string(), "a number from 1 up"))
    }

    /// As many sizes from 0 up as the caller wants; `otherwise` everywhere where the attribute is absent.
    pub(super) fn sizes<const LEN: usize>(
        &self,
        name: &str,
        otherwise: usize,
    ) -> Result<[usize; LEN], Error> {
        let Some(ints) = self.ints(name)? else { return Ok([otherwise; LEN]) };
        self.as_sizes(name, ints)
    }

    pub(super) fn as_sizes<const LEN: usize>(&self, name: &str, ints: &[i64]) -> Result<[usize; LEN], Error> {
        let sizes: Option<Vec<usize>> = ints.iter().map(|&size| usize::try_from(size).ok()).collect();
        let expected = match LEN {
            2 => "two sizes: kernels and strides have rows and columns, and pads none below 0",
            _ => "four pads from 0 up",
        };
        let sizes = sizes.and_then(|sizes| sizes.try_into().ok());
        sizes.ok_or_else(|| self.attribute_error(name, shown(&ints[..ints.len().min(8)]), expected))
    }

    /// `axis` of a tensor of this rank, which may count from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Error> {
        let from_end = if axis < 0 { i64::try_from(rank).unwrap_or(i64::MAX) } else { 0 };
        let found = usize::try_from(axis.saturating_add(from_end)).ok().filter(|&found| found < rank);
        found.ok_or_else(|| self.attribute_error("axis", axis.to_string(), "an axis that the input has"))
    }
}
