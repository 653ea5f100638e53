//! Looks into a content once it is kept: how large it is seen, small pictures, and what may be given to others.
//!
//! Job in: `process-media`. Events out: `media.MediaProcessed`.
//! Invariant: a content that can't be understood is kept with the reason; a decoder that panics costs that content its
//! picture and nothing else. Done twice, it is done once. Begin with [`look_into`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use contracts::EntityId;
use contracts::events::media::MediaProcessed;
use contracts::jobs::ProcessMedia;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use spine::AccessError;
use spine::ports::{AssertedBy, EntityChange, MediaError, Target};
use spine::queue::{JobContext, JobError, JobHandler};
use tokio::sync::Semaphore;

use crate::keep::Keeper;
use crate::store::{self, Blob, Findings};
use crate::{picture, strip};

/// What is given to others.
pub(crate) const PUBLIC: &str = "public";
/// Larger ones are kept unseen: the whole of it is in memory while it is looked at.
const LOOKED_AT_BYTES_MAX: i64 = 64 << 20;
/// Contents that are decoded at once: each may take some hundred megabytes.
const AT_ONCE: usize = 1;

/// Something that was made of a content.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Rendition {
    /// `thumb-320`, `thumb-1280` or `public`.
    pub(crate) name: String,
    /// Its media type.
    pub(crate) media_type: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its width, of a picture.
    pub(crate) width: Option<u32>,
    /// Its height, of a picture.
    pub(crate) height: Option<u32>,
    /// True if it is the content itself, byte by byte.
    #[serde(default)]
    pub(crate) same: bool,
}

/// The renditions of a content.
pub(crate) fn renditions(blob: &Blob) -> Vec<Rendition> {
    Vec::deserialize(&blob.renditions).unwrap_or_default()
}

/// The names of those that are objects of their own.
pub(crate) fn rendition_objects(blob: &Blob) -> Vec<String> {
    let own = renditions(blob).into_iter().filter(|one| !one.same);
    own.map(|one| one.name).collect()
}

/// The handler of the job.
#[derive(Debug)]
pub(crate) struct Process {
    keeper: Arc<Keeper>,
    places: Semaphore,
}

/// What was made of a content: what is told of it, and the bytes.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) renditions: Vec<(Rendition, Option<Bytes>)>,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) blurhash: Option<String>,
    pub(crate) problems: Vec<String>,
}

impl Process {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self {
            keeper,
            places: Semaphore::new(AT_ONCE),
        }
    }

    async fn make(&self, job: &JobContext, blob: &Blob) -> Result<Made, JobError> {
        let is_picture = picture::format(&blob.media_type).is_some();
        if !is_picture && !strip::is_known(&blob.media_type) {
            return Ok(Made {
                problems: vec![strip::cant(&blob.media_type)],
                ..Made::default()
            });
        }
        if blob.bytes > LOOKED_AT_BYTES_MAX {
            return Ok(Made {
                problems: vec![format!(
                    "it is larger than {LOOKED_AT_BYTES_MAX} bytes, so it is kept as it is"
                )],
                ..Made::default()
            });
        }
        let _place = self.places.acquire().await.map_err(JobError::retry)?;
        let size = blob.bytes.unsigned_abs();
        let bytes = self.keeper.blobs.whole(job.account(), &blob.key(), size).await;
        let bytes = bytes.map_err(JobError::retry)?;
        let media_type = blob.media_type.clone();
        let made = tokio::task::spawn_blocking(move || look_into(&bytes, &media_type)).await;
        match made {
            Ok(made) => Ok(made),
            Err(error) if error.is_panic() => Ok(Made {
                problems: vec!["its decoder failed on it, so it is kept as it is".to_owned()],
                ..Made::default()
            }),
            Err(error) => Err(JobError::retry(error)),
        }
    }

    /// Writes down what was made, unless the content went meanwhile or somebody was faster.
    async fn write(&self, job: &JobContext, media: EntityId, made: Made) -> Result<bool, MediaError> {
        let keeper = &self.keeper;
        let mut tx = keeper.context.access.begin(job.scope(), job.cause()).await?;
        let Some(found) = store::blob_by_entity(&mut tx, media.0)
            .await
            .map_err(AccessError::from)?
        else {
            return Ok(false);
        };
        let hash = found.hash();
        store::hash_lock(&mut tx, &hash)
            .await
            .map_err(AccessError::from)?;
        let blob = store::blob_by_hash(&mut tx, &hash)
            .await
            .map_err(AccessError::from)?;
        let Some(blob) = blob.filter(|blob| blob.removing_at.is_none() && blob.processed_at.is_none()) else {
            return Ok(false);
        };
        for (rendition, bytes) in &made.renditions {
            if let Some(bytes) = bytes {
                let name = Some(rendition.name.as_str());
                keeper
                    .blobs
                    .put_bytes(job.account(), &blob.key(), name, bytes.clone())
                    .await?;
            }
        }
        contracts::failpoint::hit("media: the renditions are put");
        let told: Vec<&Rendition> = made.renditions.iter().map(|(told, _)| told).collect();
        let problem = (!made.problems.is_empty()).then(|| made.problems.join("; "));
        let side = |side: Option<u32>| side.and_then(|side| i32::try_from(side).ok());
        let findings = Findings {
            problem: problem.as_deref(),
            width: side(made.width),
            height: side(made.height),
            blurhash: made.blurhash.as_deref(),
            renditions: json!(told),
        };
        store::blob_found(&mut tx, &hash, &findings)
            .await
            .map_err(AccessError::from)?;
        let processed = MediaProcessed {
            media,
            renditions: told.iter().map(|one| one.name.clone()).collect(),
            problem: problem.clone(),
        };
        tx.publish_about(media, &processed)?;
        self.tell_graph(&mut tx, &blob, &made).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The MediaObject shows how large it is.
    async fn tell_graph(&self, tx: &mut spine::ScopedTx, blob: &Blob, made: &Made) -> Result<(), MediaError> {
        let mut props = Map::new();
        for (name, value) in [
            ("width", made.width.map(Value::from)),
            ("height", made.height.map(Value::from)),
            ("blurhash", made.blurhash.clone().map(Value::from)),
        ] {
            props.extend(value.map(|value| (name.to_owned(), value)));
        }
        let media = EntityId(blob.entity);
        let lives = self.keeper.context.ports.graph_read().entity(tx, media).await?;
        if props.is_empty() || lives.is_none() {
            return Ok(());
        }
        let by = if blob.by_owner {
            AssertedBy::User
        } else {
            AssertedBy::Connector
        };
        let change = EntityChange {
            target: Target::Existing(media),
            kind: "MediaObject".to_owned(),
            title: None,
            props,
            identifiers: Vec::new(),
            starts_at: None,
        };
        self.keeper.write(tx, by, change).await.map(drop)
    }
}

/// Makes of a content what can be made of it.
pub(crate) fn look_into(bytes: &[u8], media_type: &str) -> Made {
    let mut made = Made::default();
    if let Some(format) = picture::format(media_type) {
        match picture::look(bytes, format) {
            Err(problem) => made.problems.push(problem),
            Ok(look) => {
                (made.width, made.height) = (Some(look.width), Some(look.height));
                made.blurhash = look.blurhash;
                for small in look.small {
                    let rendition = Rendition {
                        name: small.name.to_owned(),
                        media_type: small.media_type.to_owned(),
                        bytes: small.bytes.len() as u64,
                        width: Some(small.width),
                        height: Some(small.height),
                        same: false,
                    };
                    made.renditions.push((rendition, Some(small.bytes.into())));
                }
            }
        }
    }
    match strip::strip(bytes, media_type) {
        Err(problem) => made.problems.push(problem),
        Ok(stripped) => {
            let same = stripped == bytes;
            let rendition = Rendition {
                name: PUBLIC.to_owned(),
                media_type: media_type.to_owned(),
                bytes: stripped.len() as u64,
                width: made.width,
                height: made.height,
                same,
            };
            made.renditions
                .push((rendition, (!same).then(|| stripped.into())));
        }
    }
    made
}

#[async_trait]
impl JobHandler for Process {
    type Payload = ProcessMedia;

    async fn run(&self, job: &JobContext, order: ProcessMedia) -> Result<Value, JobError> {
        let mut tx = self
            .keeper
            .context
            .access
            .begin(job.scope(), job.cause())
            .await
            .map_err(JobError::retry)?;
        let blob = store::blob_by_entity(&mut tx, order.media.0)
            .await
            .map_err(|error| JobError::retry(AccessError::from(error)))?;
        drop(tx);
        let Some(blob) = blob.filter(|blob| blob.processed_at.is_none()) else {
            return Ok(json!({ "processed": false }));
        };
        let made = self.make(job, &blob).await?;
        let done = self.write(job, order.media, made).await;
        match done {
            Ok(processed) => Ok(json!({ "processed": processed })),
            Err(MediaError::Access(error)) => Err(JobError::retry(error)),
            Err(error) => Err(JobError::fail(error)),
        }
    }
}
