//! Messages as canonical protobuf JSON, including the contents of their `Any` fields.

use std::io::{self, Write};

use prost::Name;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::proto::FILE_DESCRIPTOR_SET;

/// Writes messages of the contract as JSON.
#[derive(Debug)]
pub(crate) struct Canonical {
    types: DescriptorPool,
}

impl Canonical {
    pub(crate) fn new() -> io::Result<Self> {
        let types = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(io::Error::other)?;
        Ok(Self { types })
    }

    /// Appends `message` to `text` as one JSON object without line breaks.
    pub(crate) fn append<M: Name>(&self, message: &M, text: &mut Vec<u8>) -> io::Result<()> {
        let message = self.described(message)?;
        let mut json = serde_json::Serializer::new(text);
        message
            .serialize_with_options(&mut json, &SerializeOptions::new())
            .map_err(io::Error::other)
    }

    /// Writes `message` as JSON for people, indented by two spaces.
    pub(crate) fn write_indented<M: Name>(&self, message: &M, out: &mut impl Write) -> io::Result<()> {
        let mut json = serde_json::Serializer::pretty(out);
        self.described(message)?
            .serialize_with_options(&mut json, &SerializeOptions::new())
            .map_err(io::Error::other)
    }

    fn described<M: Name>(&self, message: &M) -> io::Result<DynamicMessage> {
        let name = M::full_name();
        let described = self.types.get_message_by_name(&name);
        let described = described.ok_or_else(|| io::Error::other(format!("{name} is not described")))?;
        DynamicMessage::decode(described, message.encode_to_vec().as_slice()).map_err(io::Error::other)
    }
}
