//! Deletions of keys.

use proto::etcd::{DeleteRangeRequest, DeleteRangeResponse};

use super::{Call, key_given};
use crate::kv::{Error, history::History};

impl Call for DeleteRangeRequest {
    type Response = DeleteRangeResponse;

    fn check(&self) -> Result<(), Error> {
        key_given(&self.key)
    }

    fn apply(
        &self,
        history: &mut History,
        effects: &mut Vec<u8>,
    ) -> Result<DeleteRangeResponse, Error> {
        Ok(history.delete_range(self, effects))
    }
}
