//! An image on its way to a registry.

use crate::Error;
use crate::credentials::{credentials, registry_of};
use crate::engine::Found;
use crate::image::{Image, Layers, Progress, STANDSTILL, find, next, split, why};
use bollard::query_parameters::PushImageOptionsBuilder;

/// Sends it. Layers that the registry has are not sent again.
pub(crate) async fn push(
    engine: &Found,
    named: &str,
    told: &mut impl FnMut(Progress),
) -> Result<Image, Error> {
    if find(engine, named).await?.is_none() {
        return Err(Error::Image(format!("image {named} is not here: `naru build` makes it")));
    }
    let (name, tag) = split(named);
    let options = PushImageOptionsBuilder::default().tag(tag).build();
    let patient = engine.docker.clone().with_timeout(STANDSTILL);
    let stream = patient.push_image(name, Some(options), credentials(registry_of(named)).await);
    let mut stream = Box::pin(stream);
    let mut layers = Layers::of("pushing", named);
    told(Progress::begun("pushing", named));
    loop {
        let info = next(&mut stream).await;
        let info = info.map_err(|said| Error::Image(why("pushed", named, engine, &said)))?;
        let Some(info) = info else { break };
        // The answer's type does not tell the layer; what it says of sizes is of one at a time.
        let Some(detail) = info.progress_detail.filter(|detail| detail.total.is_some()) else { continue };
        let layer = detail.total.map(|total| total.to_string()).unwrap_or_default();
        layers.came(layer, detail.current, detail.total).into_iter().for_each(&mut *told);
    }
    let missing = || Error::Image(format!("image {named} was pushed, and the engine does not have it"));
    find(engine, named).await?.ok_or_else(missing)
}
