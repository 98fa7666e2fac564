//! The wire contract as Rust types, generated at build time from `proto/`.
//!
//! The module tree repeats the packages: `c1.connector.v2` is what platforms speak to connectors,
//! `c1.config.v1` the forms of its actions, `c1.ratelimit.v1` the gate that some of their clients put before each call, and
//! `connector.health.v1` our own account of scope health. What the messages mean to this connector
//! is decided elsewhere; nothing here is written by hand except the tree.

/// Packages of the platform's protocol.
pub mod c1 {
    /// Forms.
    pub mod config {
        /// `c1.config.v1`: the arguments and results of actions.
        #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
        pub mod v1 {
            tonic::include_proto!("c1.config.v1");
        }
    }

    /// Connectors.
    pub mod connector {
        /// `c1.connector.v2`: what is synced and provisioned.
        #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
        pub mod v2 {
            tonic::include_proto!("c1.connector.v2");
        }
    }

    /// What a runner tells the connector that it starts.
    pub mod connector_wrapper {
        /// `c1.connector_wrapper.v1`: a child's configuration.
        #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
        pub mod v1 {
            tonic::include_proto!("c1.connector_wrapper.v1");
        }
    }

    /// What the platform serves to connectors.
    pub mod connectorapi {
        /// Service mode.
        pub mod baton {
            /// `c1.connectorapi.baton.v1`: tasks.
            #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
            pub mod v1 {
                tonic::include_proto!("c1.connectorapi.baton.v1");
            }
        }
    }

    /// Rate limits.
    pub mod ratelimit {
        /// `c1.ratelimit.v1`: the gate before each call.
        #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
        pub mod v1 {
            tonic::include_proto!("c1.ratelimit.v1");
        }
    }

    /// TLS identities.
    pub mod utls {
        /// `c1.utls.v1`: what a runner and its child prove themselves by.
        #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
        pub mod v1 {
            tonic::include_proto!("c1.utls.v1");
        }
    }
}

/// Packages of our own.
pub mod connector {
    /// Health.
    pub mod health {
        /// `connector.health.v1`: scope health.
        #[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
        pub mod v1 {
            tonic::include_proto!("connector.health.v1");
        }
    }
}

/// `plugin`: what a go-plugin host calls on every plugin.
#[allow(missing_docs, deprecated, clippy::all, clippy::pedantic)]
pub mod plugin {
    tonic::include_proto!("plugin");
}

/// All files of the contract and the well-known types they import, encoded as a
/// `google.protobuf.FileDescriptorSet`, for the reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");

/// The same with the files that hosts speak, which this connector calls or answers only where a host started it.
pub const HOST_FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("host_descriptors");
