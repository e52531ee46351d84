//! What a container mounts, in the engine's words.

use crate::Launch;
use crate::engine::Found;
use crate::error::Error;
use crate::find::{HOME, STACK};
use bollard::models::{
    Mount, MountBindOptions, MountBindOptionsPropagationEnum as Propagation, MountImageOptions,
    MountTmpfsOptions, MountType, MountVolumeOptions, VolumeCreateRequest,
};
use naru_model::{MountSource, Volume};
use std::collections::{BTreeMap, HashMap};

/// Makes the named volumes of a launch that are missing. They are never removed: what is in them is the user's.
///
/// # Errors
/// One that is said to be there is not, or the engine refuses.
pub(crate) async fn ensure_volumes(engine: &Found, home: &str, launch: &Launch) -> Result<(), Error> {
    for mount in &launch.container.mounts {
        let MountSource::Volume { volume: Some(volume), .. } = &mount.source else { continue };
        let asked = engine.docker.inspect_volume(&volume.name);
        match engine.ask(asked, || format!("look at volume {}", volume.name)).await {
            Ok(_) => continue,
            Err(error) if !error.is_missing() => return Err(error),
            Err(_) if volume.external => return Err(missing(volume)),
            Err(_) => {}
        }
        let mut labels = map(&volume.labels).unwrap_or_default();
        labels.extend([(HOME.to_owned(), home.to_owned()), (STACK.to_owned(), launch.stack.to_string())]);
        let request = VolumeCreateRequest {
            name: Some(volume.name.clone()),
            driver: volume.driver.clone(),
            driver_opts: map(&volume.driver_options),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        let made = engine.docker.create_volume(request);
        engine.ask(made, || format!("make volume {}", volume.name)).await?;
    }
    Ok(())
}

fn missing(volume: &Volume) -> Error {
    let Volume { name, key, .. } = volume;
    Error::Unstartable(format!(
        "volume {name} ({key} in the file) is external, and the container engine has none of that name: make it, or \
         leave `external` out"
    ))
}

/// The mounts of a launch that have a form of their own.
pub(crate) fn mounts(launch: &Launch) -> Vec<Mount> {
    let all = launch.container.mounts.iter();
    all.filter(|mount| !is_old_form(&mount.source)).map(mount).collect()
}

/// The binds that only the older form can say: `SOURCE:TARGET:OPTIONS`. It makes folders of the host that are missing,
/// and knows SELinux.
pub(crate) fn binds(launch: &Launch) -> Vec<String> {
    let old = launch.container.mounts.iter().filter(|mount| is_old_form(&mount.source));
    let bind = |mount: &naru_model::Mount| {
        let MountSource::Bind { path, selinux, propagation, .. } = &mount.source else { return None };
        let mut options = vec![if mount.read_only { "ro" } else { "rw" }];
        options.extend(selinux.as_deref());
        options.extend(propagation.as_deref());
        Some(format!("{path}:{}:{}", mount.target, options.join(",")))
    };
    old.filter_map(bind).collect()
}

fn is_old_form(source: &MountSource) -> bool {
    match source {
        MountSource::Bind { create_host_path, selinux, .. } => *create_host_path || selinux.is_some(),
        _ => false,
    }
}

fn mount(mount: &naru_model::Mount) -> Mount {
    let mut said = of_source(&mount.source);
    said.target = Some(mount.target.clone());
    said.read_only = mount.read_only.then_some(true);
    said
}

fn of_source(source: &MountSource) -> Mount {
    let of = |typ: MountType| Mount { typ: Some(typ), ..Mount::default() };
    match source {
        MountSource::Bind { path, propagation, recursive, .. } => Mount {
            source: Some(path.clone()),
            bind_options: Some(bind_options(propagation.as_deref(), recursive.as_deref())),
            ..of(MountType::BIND)
        },
        MountSource::Volume { volume, nocopy, subpath, labels } => Mount {
            source: volume.as_ref().map(|volume| volume.name.clone()),
            volume_options: Some(MountVolumeOptions {
                no_copy: nocopy.then_some(true),
                subpath: subpath.clone(),
                labels: map(labels),
                ..MountVolumeOptions::default()
            }),
            ..of(MountType::VOLUME)
        },
        MountSource::Tmpfs { size, mode } => Mount {
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: size.map(|size| size as i64),
                mode: mode.map(i64::from),
                ..MountTmpfsOptions::default()
            }),
            ..of(MountType::TMPFS)
        },
        MountSource::Image { image, subpath } => Mount {
            source: Some(image.clone()),
            image_options: Some(MountImageOptions { subpath: subpath.clone() }),
            ..of(MountType::IMAGE)
        },
    }
}

fn bind_options(propagation: Option<&str>, recursive: Option<&str>) -> MountBindOptions {
    let known = [
        ("private", Propagation::PRIVATE),
        ("rprivate", Propagation::RPRIVATE),
        ("shared", Propagation::SHARED),
        ("rshared", Propagation::RSHARED),
        ("slave", Propagation::SLAVE),
        ("rslave", Propagation::RSLAVE),
    ];
    MountBindOptions {
        propagation: known.into_iter().find(|(word, _)| propagation == Some(word)).map(|(_, value)| value),
        non_recursive: (recursive == Some("disabled")).then_some(true),
        read_only_non_recursive: (recursive == Some("writable")).then_some(true),
        read_only_force_recursive: (recursive == Some("readonly")).then_some(true),
        ..MountBindOptions::default()
    }
}

/// The engine's form of a table; `None` for an empty one, so that the engine's default holds.
pub(crate) fn map(table: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    let filled = || table.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    (!table.is_empty()).then(filled)
}
