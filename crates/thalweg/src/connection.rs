//! From the options of a command to a client.

use thalweg_client::{Client, ConnectError, Options};

use crate::cli::ConnectArgs;

impl ConnectArgs {
    /// A client of the cluster that the options name.
    pub(crate) fn client(&self) -> Result<Client, ConnectError> {
        let mut options = Options::new(self.endpoint.iter().cloned());
        options.request_timeout = self.timeout;
        Client::connect(options)
    }
}
