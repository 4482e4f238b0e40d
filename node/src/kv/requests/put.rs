//! Writes of one key.

use proto::etcd::{PutRequest, PutResponse};

use super::{Call, key_given};
use crate::kv::{Error, history::History};

impl Call for PutRequest {
    type Response = PutResponse;

    fn check(&self) -> Result<(), Error> {
        key_given(&self.key)?;
        if self.ignore_value && !self.value.is_empty() {
            return Err(Error::ValueProvided);
        }
        if self.ignore_lease && self.lease != 0 {
            return Err(Error::LeaseProvided);
        }
        Ok(())
    }

    fn apply(&self, history: &mut History, effects: &mut Vec<u8>) -> Result<PutResponse, Error> {
        history.can_put(self)?;
        Ok(history.put(self, effects))
    }
}
