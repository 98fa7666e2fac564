//! The configuration: one line of standard base64 with padding, which holds a `ServerConfig`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::ChildError;
use crate::proto::c1::connector_wrapper::v1::ServerConfig;

/// Decodes the line, with or without the end of the line.
///
/// # Errors
/// It holds no configuration. The line, which has a private key, is not repeated.
pub(super) fn decode(line: &[u8]) -> Result<ServerConfig, ChildError> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Err(ChildError::Config("is missing".to_owned()));
    }
    let bytes = STANDARD
        .decode(line)
        .map_err(|_| ChildError::Config("is not base64".to_owned()))?;
    ServerConfig::decode(&*bytes).map_err(|_| ChildError::Config("is no ServerConfig".to_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_line_is_decoded_with_and_without_its_end() {
        let config = ServerConfig {
            listen_port: 50051,
            ..ServerConfig::default()
        };
        let line = STANDARD.encode(config.encode_to_vec());
        for end in ["", "\n", "\r\n"] {
            let decoded = decode(format!("{line}{end}").as_bytes()).unwrap();
            assert_eq!(decoded, config);
        }
    }

    #[rstest]
    #[case::nothing(b"\n", "is missing")]
    #[case::text(b"{\"hush\": 1}\n", "is not base64")]
    #[case::without_padding(b"GA\n", "is not base64")]
    #[case::another_message(b"aHVzaA==\n", "is no ServerConfig")]
    fn an_invalid_configuration_is_rejected_without_repeating_it(#[case] line: &[u8], #[case] expected: &str) {
        let problem = decode(line).unwrap_err().to_string();
        assert!(problem.contains(expected) && !problem.contains("hush"), "{problem}");
    }
}
